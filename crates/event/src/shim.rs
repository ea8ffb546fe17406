//! temp
use ferrostash_joda::Timestamp;
#[derive(Clone)]
pub(crate) struct Pattern;
impl Pattern {
    pub(crate) fn parse(_: &str) -> Result<Self, String> {
        Ok(Pattern)
    }
    pub(crate) fn format(&self, _: Timestamp, _: &mut String) {}
}
pub(crate) use Pattern as JavaPattern;
