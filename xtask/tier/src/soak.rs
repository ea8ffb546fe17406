//! Faults at random, from a seed.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::arrivals::Account;
use crate::group::{Group, Setup, Sharing};
use crate::kafka::Kafka;
use crate::producer::{Pace, Producer};

/// Time between two faults.
const PAUSE: Duration = Duration::from_secs(15);
/// How long a group may take to work off what is left after the last fault.
const CATCH_UP_TIME_MAX: Duration = Duration::from_secs(120);
/// For how long the events of a member may come again after it was cut off: what it had delivered since its last commit, and
/// what was under way.
const REPEATED_TIME: Duration = Duration::from_secs(5);

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// So many members are there from now on; those too many are stopped properly.
    Members(usize),
    /// `kill -9` of a member; another one takes its place.
    KillMember,
    /// A member hangs for longer than its session lasts, and goes on.
    FreezeMember,
    /// A member is stopped properly and comes back under its name.
    RestartMember,
    /// A broker is stopped properly and started again.
    RestartBroker,
    /// `kill -9` of the broker that leads the first partition; it is started again.
    KillLeader,
    /// `kill -9` of all brokers; they are started again.
    KillAllBrokers,
}

impl Fault {
    const EVERY: [Fault; 9] = [
        Fault::Members(2),
        Fault::Members(3),
        Fault::Members(5),
        Fault::KillMember,
        Fault::FreezeMember,
        Fault::RestartMember,
        Fault::RestartBroker,
        Fault::KillLeader,
        Fault::KillAllBrokers,
    ];

    /// Whether a member may lose what it has not committed.
    fn is_unclean(self) -> bool {
        !matches!(self, Fault::Members(_) | Fault::RestartMember)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Members(count) => write!(f, "{count} members from now on"),
            Fault::KillMember => f.write_str("kill a member, start another"),
            Fault::FreezeMember => f.write_str("freeze a member for longer than its session"),
            Fault::RestartMember => f.write_str("restart a member"),
            Fault::RestartBroker => f.write_str("restart a broker"),
            Fault::KillLeader => f.write_str("kill the leader of a partition"),
            Fault::KillAllBrokers => f.write_str("kill all brokers"),
        }
    }
}

/// One group under faults.
#[derive(Clone, Debug)]
pub struct Round {
    /// What the group is.
    pub setup: Setup,
    /// Events per second.
    pub rate: u64,
    /// Faults, one after the other.
    pub faults: Vec<Fault>,
}

impl Round {
    /// Three to five members, to two, in 15 s each, and `faults` more at random. Round `number` of `seed` is always the same.
    #[must_use]
    pub fn of(seed: u64, number: u64, program: &std::path::Path, rate: u64, faults: usize) -> Round {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
        let turn = usize::try_from(number).unwrap_or_default();
        let sharing =
            Sharing::ALL.into_iter().cycle().nth(turn % Sharing::ALL.len()).unwrap_or(Sharing::Range);
        let setup = Setup {
            program: program.to_owned(),
            name: format!("soak-{seed}-{number}"),
            partitions: random.random_range(6..=12),
            sharing,
            has_ids: true,
        };
        let mut all = vec![Fault::Members(5), Fault::Members(2), Fault::Members(3)];
        all.extend((0..faults).filter_map(|_| Fault::EVERY.choose(&mut random).copied()));
        Round { setup, rate, faults: all }
    }

    /// Runs it, and says each step.
    ///
    /// # Errors
    /// Something was lost, is there twice, came again more often than faults explain, or does not go on; with the account.
    pub fn run(&self, kafka: &Kafka, say: &mut dyn FnMut(String)) -> Result<Account> {
        let mut group = Group::new(kafka, self.setup.clone())?;
        group.add(3)?;
        let producer = Producer::start(kafka, group.name(), Pace::of(self.rate))?;
        group.wait_until_all_work()?;
        for fault in &self.faults {
            let start = Instant::now();
            apply(*fault, kafka, &mut group)?;
            say(format!("{fault}: {:.1} s", start.elapsed().as_secs_f64()));
            group.run_for(PAUSE.saturating_sub(start.elapsed()))?;
        }
        let produced = producer.finish()?;
        let account = group.finish(&produced, CATCH_UP_TIME_MAX)?;
        let unclean = self.faults.iter().filter(|fault| fault.is_unclean()).count() as u64;
        let repeated_max = unclean * self.rate * REPEATED_TIME.as_secs();
        if !account.lost.is_empty() || account.duplicates > 0 || account.repeated > repeated_max {
            bail!("{account}; at most {repeated_max} could come again");
        }
        if account.produced < self.rate {
            bail!("too little was produced to say anything: {account}");
        }
        Ok(account)
    }
}

fn apply(fault: Fault, kafka: &Kafka, group: &mut Group<'_>) -> Result<()> {
    match fault {
        Fault::Members(count) => {
            while group.members.len() > count {
                group.take(0)?.stop()?;
            }
            group.add(count - group.members.len())
        }
        Fault::KillMember => {
            group.take(0)?.kill()?;
            group.add(1)
        }
        Fault::FreezeMember => {
            let member = group.take(0)?;
            member.freeze()?;
            let frozen = group.run_for(Sharing::SESSION + Duration::from_secs(3));
            member.thaw()?;
            group.members.push(member);
            frozen
        }
        Fault::RestartMember => {
            let member = group.take(0)?;
            let name = member.name().to_owned();
            member.stop()?;
            group.add_again(&name)
        }
        Fault::RestartBroker => {
            let broker = kafka.leader(group.name(), 0)?;
            kafka.stop(broker)?;
            kafka.start_again(broker)
        }
        Fault::KillLeader => {
            let broker = kafka.leader(group.name(), 0)?;
            kafka.crash(broker)?;
            group.run_for(Duration::from_secs(3))?;
            kafka.start_again(broker)
        }
        Fault::KillAllBrokers => {
            kafka.crash_all()?;
            group.run_for(Duration::from_secs(3))?;
            kafka.start_all()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_always_the_same() {
        let round = |number| Round::of(7, number, std::path::Path::new("ferrostash"), 100, 5);
        assert_eq!(format!("{:?}", round(1)), format!("{:?}", round(1)));
        assert_eq!(round(0).faults.len(), 8);
        let sharing: Vec<_> = (0..4).map(|number| round(number).setup.sharing).collect();
        assert_eq!(sharing, Sharing::ALL);
    }
}
