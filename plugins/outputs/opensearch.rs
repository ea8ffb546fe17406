//! The `opensearch` output: the engine of the `elasticsearch` output, with OpenSearch's options and manners.
//!
//! | file | what |
//! |---|---|
//! | `options` | the options, and what they are to the engine |
//! | `auth_type` | the option of that name |
//! | `signature`, `credentials` | requests signed for AWS, and where the keys come from |

mod auth_type;
mod credentials;
mod options;
mod signature;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use ferrostash_conf::{Diagnostics, OptionsDef, PluginBlock};
use ferrostash_plugin::{
    BatchEncoder, BuildContext, BuildResult, CodecFactory, Output, OutputBatch, OutputContext, OutputError,
    OutputPlugin, PluginDef, StartError, output,
};
use futures::future::BoxFuture;

use crate::elasticsearch::options::ElasticsearchOptions;
use crate::elasticsearch::profile::{Profile, Recognition, Signer};
use crate::elasticsearch::{Elasticsearch, check_templates};
use auth_type::AuthType;
use options::OpenSearchOptions;
use signature::AwsSigner;

pub(crate) static PLUGIN: PluginDef = output::<OpenSearch>();

/// Priority and version of the default composable template.
const TEMPLATE_MARKS: (u32, u32) = (10, 60001);

#[derive(Clone)]
pub(crate) struct OpenSearch(Elasticsearch);

impl OutputPlugin for OpenSearch {
    type Options = OpenSearchOptions;
    const SHARED: bool = true;

    fn build(
        mut options: OpenSearchOptions,
        _: Arc<dyn CodecFactory>,
        cx: &mut BuildContext<'_>,
    ) -> BuildResult<Self> {
        options.check().map_err(|reason| cx.refuse(reason))?;
        let signer = signer(options.auth_type.take(), &mut options).map_err(|reason| cx.refuse(reason))?;
        let profile = Profile {
            name: "opensearch",
            headers: &[],
            product: "OpenSearch",
            recognition: Recognition::OpenSearch { default_major: options.default_server_major_version },
            template_marks: TEMPLATE_MARKS,
            request_bytes_max: options.target_bulk_bytes,
            signer,
        };
        // The options of the engine that this output does not have are as in a bare block.
        let (kind, _) = cx.plugin;
        let bare = PluginBlock::bare(kind, "elasticsearch", cx.span);
        let Some(engine) = ElasticsearchOptions::from_conf(&bare, &mut Diagnostics::new()) else {
            return Err(cx.refuse("the engine has no defaults for its options"));
        };
        let engine = options.for_engine(engine);
        check_templates(&engine, cx)?;
        let output = Elasticsearch::assemble(&engine, &profile, cx).map_err(|reason| cx.refuse(reason))?;
        if output.is_unverified {
            cx.warn(
                "You have enabled encryption but DISABLED certificate verification. To make sure your data is secure \
                 change `ssl_certificate_verification` to true",
            );
        }
        Ok(OpenSearch(output))
    }

    fn encoder(&self) -> Option<Box<dyn BatchEncoder>> {
        self.0.encoder()
    }
}

impl Output for OpenSearch {
    fn start<'a>(&'a mut self, cx: &'a OutputContext) -> BoxFuture<'a, Result<(), StartError>> {
        self.0.start(cx)
    }

    fn write<'a>(
        &'a mut self,
        batches: &'a [OutputBatch],
        cx: &'a OutputContext,
    ) -> BoxFuture<'a, Result<(), OutputError>> {
        self.0.write(batches, cx)
    }
}

/// What `auth_type` asks for: user and password for `options`, or a signer.
fn signer(
    auth_type: Option<AuthType>,
    options: &mut OpenSearchOptions,
) -> Result<Option<Arc<dyn Signer>>, String> {
    let Some(auth_type) = auth_type else { return Ok(None) };
    if options.user.is_some() || options.password.is_some() {
        return Err("Use either \"user\" and \"password\", or \"auth_type\"".into());
    }
    match auth_type {
        AuthType::Basic { user, password } => {
            (options.user, options.password) = (Some(user), Some(password));
            Ok(None)
        }
        AuthType::AwsIam(iam) => Ok(Some(Arc::new(AwsSigner::new(&iam)?))),
    }
}
