//! The machine's own zone, which Logstash takes for dates without one.

use ferrostash_joda::Zone;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the system's zone is a link to the file of its rules.
const LOCALTIME: &str = "/etc/localtime";

/// The zone that `TZ` names, or else the one of the system; UTC where neither names one that is known.
pub(super) fn local_zone() -> Zone {
    zone_of(std::env::var("TZ").ok().as_deref(), fs::read_link(LOCALTIME).ok().as_deref())
}

fn zone_of(variable: Option<&str>, link: Option<&Path>) -> Zone {
    let id = match variable {
        Some(id) => Some(id.trim_start_matches(':').to_owned()),
        None => link.and_then(id_of_rules),
    };
    id.and_then(|id| Zone::parse(&id).ok()).unwrap_or_else(|| Zone::utc().clone())
}

/// `/usr/share/zoneinfo/Europe/Paris` is the file of `Europe/Paris`.
fn id_of_rules(file: &Path) -> Option<String> {
    let mut parts = file.components().skip_while(|part| part.as_os_str() != "zoneinfo");
    parts.next()?;
    let mut parts = parts.peekable();
    parts.next_if(|part| part.as_os_str() == "posix" || part.as_os_str() == "right");
    parts.collect::<PathBuf>().to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_goes_before_the_system() {
        let paris = Zone::parse("Europe/Paris").unwrap();
        let link = Some(Path::new("../usr/share/zoneinfo/Europe/Paris"));
        assert_eq!(zone_of(None, link), paris);
        assert_eq!(zone_of(None, Some(Path::new("/usr/share/zoneinfo/posix/Europe/Paris"))), paris);
        assert_eq!(zone_of(Some(":Europe/Paris"), None), paris);
        assert_eq!(zone_of(Some("UTC"), link), Zone::parse("UTC").unwrap());
        for (variable, link) in [(None, None), (Some(""), link), (Some("Mars/Olympus"), link)] {
            assert_eq!(&zone_of(variable, link), Zone::utc());
        }
        assert_eq!(&zone_of(None, Some(Path::new("/etc/zone"))), Zone::utc());
    }
}
