//! The drop filter: events go no further.

use ferrostash_conf::Options;
use ferrostash_event::Event;
use ferrostash_plugin::{
    BuildContext, BuildResult, EventFilter, FilterContext, FilterPlugin, Matched, PluginDef, filter,
};
use std::hash::{BuildHasher, RandomState};

/// Drops events, all of them or a part.
///
/// ```conf
/// filter { drop { } }
/// # in:  {"message": "noise"}
/// ```
///
/// ```conf
/// filter { drop { percentage => 0 } }
/// # in:  {"message": "kept"}
/// # out: {"message": "kept"}
/// ```
#[derive(Options, Clone)]
#[plugin(filter = "drop")]
pub(crate) struct DropOptions {
    /// How many of a hundred events are dropped.
    #[option(default = 100)]
    percentage: f64,
}

/// The declaration.
pub(crate) static PLUGIN: PluginDef = filter::<Drop>();

/// The filter.
#[derive(Clone)]
pub(crate) struct Drop {
    /// The part that is dropped, from 0 to 1.
    share: f64,
    /// The state of this worker's random numbers, once there is one.
    random: Option<u64>,
}

impl FilterPlugin for Drop {
    type Options = DropOptions;

    fn build(options: DropOptions, _cx: &mut BuildContext<'_>) -> BuildResult<Drop> {
        Ok(Drop { share: options.percentage / 100.0, random: None })
    }
}

impl EventFilter for Drop {
    /// Never matches: the common options of this filter are not applied, as in Logstash.
    fn filter(&mut self, event: &mut Event, _cx: &mut FilterContext<'_>) -> Matched {
        if self.share >= 1.0 || (self.share > 0.0 && self.random() < self.share) {
            event.cancel();
        }
        Matched::No
    }
}

impl Drop {
    /// An even random number from 0 to below 1 (SplitMix64).
    fn random(&mut self) -> f64 {
        let seed = self.random.unwrap_or_else(|| RandomState::new().hash_one(0));
        let state = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random = Some(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use ferrostash_plugin::testing::Harness;

    fn kept(options: &str, events: usize) -> usize {
        let mut filter = Harness::new(crate::PLUGINS).filter(&format!("drop {{ {options} }}")).unwrap();
        filter.run_json(&vec!["{}"; events]).iter().filter(|event| *event == "{}").count()
    }

    #[test]
    fn all_or_none() {
        for options in
            ["", "percentage => 100", "percentage => '100'", "percentage => 100.0", "percentage => 150"]
        {
            assert_eq!(kept(options, 10), 0, "{options}");
        }
        for options in ["percentage => 0 add_tag => 'never'", "percentage => -5"] {
            assert_eq!(kept(options, 10), 10, "{options}");
        }
    }

    #[test]
    fn a_part() {
        let kept = kept("percentage => 30", 10_000);
        assert!((6_600..7_400).contains(&kept), "{kept}");
    }
}
