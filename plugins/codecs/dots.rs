//! `dots`: a dot for each event.

use crate::text::keep_undecodable;
use ferrostash_conf::Options;
use ferrostash_event::Event;
use ferrostash_plugin::{
    BuildContext, BuildResult, Codec, CodecFailures, CodecPlugin, EncodeError, EventSink, PluginDef, codec,
};

/// Writes a dot for each event, to see how fast they come. It reads nothing.
///
/// ```conf
/// dots {}
/// ```
#[derive(Options, Clone)]
#[plugin(codec = "dots")]
pub(crate) struct DotsOptions {}

pub(crate) static PLUGIN: PluginDef = codec::<Dots>();

#[derive(Clone)]
struct Dots {
    failures: CodecFailures,
}

impl CodecPlugin for Dots {
    type Options = DotsOptions;

    fn build(_: DotsOptions, cx: &mut BuildContext<'_>) -> BuildResult<Dots> {
        Ok(Dots { failures: cx.codec_failures() })
    }
}

impl Codec for Dots {
    fn decode(&mut self, data: &[u8], sink: &mut EventSink<'_>) {
        keep_undecodable("dots", data, &self.failures, sink);
    }

    fn encode(&mut self, _: &Event, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.push(b'.');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::{decode, encode, legacy};

    #[test]
    fn a_dot_each() {
        assert_eq!(encode("dots", &["{}", r#"{"a":1}"#]), "..");
    }

    #[test]
    fn what_it_reads_is_kept() {
        let kept = [r#"{"message":"x","tags":["_codecdecodefailure"]}"#];
        assert_eq!(decode(&legacy(), "dots", &["x"]), kept);
    }
}
