//! What is made in the cluster before the first event: the index template, and the index with a life cycle.
//!
//! Nothing of it for data streams; those have their templates in the cluster.

use std::path::Path;

use ferrostash_event::Template;
use ferrostash_net::http_client::HttpResponse;
use ferrostash_plugin::Ecs;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::action::rollover_alias;
use super::nodes::{NoAnswer, Nodes};
use super::options::{ElasticsearchOptions, TemplateApi};
use super::product::{Flavour, Product};
use super::profile::Profile;
use super::template::default_template;

/// The policy that is made when it is not there.
const DEFAULT_POLICY: &str = "logstash-policy";
/// Largest template file, in bytes.
pub(super) const TEMPLATE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is to be made.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    template: Option<IndexTemplate>,
    life_cycle: LifeCycle,
    is_stream: bool,
}

#[derive(Clone, Debug)]
struct IndexTemplate {
    /// The name that the user gave.
    name: Option<String>,
    default_name: &'static str,
    api: TemplateApi,
    overwrite: bool,
    /// The user's own; otherwise the default one.
    own: Option<Value>,
    /// Priority and version of the default composable one.
    marks: (u32, u32),
    ecs: Ecs,
}

#[derive(Clone, Debug)]
struct LifeCycle {
    /// `auto` came out as yes, or it is demanded.
    is_wanted: bool,
    is_demanded: bool,
    alias: String,
    pattern: String,
    policy: String,
}

/// Why the cluster is not ready.
#[derive(Debug)]
pub(super) enum SetupError {
    /// It may be later.
    Later(String),
    /// It never will.
    Never(String),
}

impl From<NoAnswer> for SetupError {
    fn from(error: NoAnswer) -> Self {
        SetupError::Later(error.to_string())
    }
}

impl Setup {
    /// What the options demand. Reads the template file.
    ///
    /// # Errors
    /// The template can't be read.
    pub(super) fn of(
        options: &ElasticsearchOptions,
        profile: &Profile,
        is_stream: bool,
        ecs: Ecs,
    ) -> Result<Setup, String> {
        let default_alias = ecs.pick("logstash", "ecs-logstash");
        let alias = rollover_alias(options, ecs).as_str().to_owned();
        let default_index = ecs.pick("logstash-%{+yyyy.MM.dd}", "ecs-logstash-%{+yyyy.MM.dd}");
        let is_default_index =
            options.index.as_ref().map_or(default_index, Template::as_str) == default_index;
        let ilm_enabled = options.ilm_enabled.as_deref().unwrap_or("auto");
        let own = options.template.as_ref().map(|file| read_template(file)).transpose()?;
        let text =
            |option: &Option<String>, default: &str| option.clone().unwrap_or_else(|| default.to_owned());
        let template = IndexTemplate {
            name: options.template_name.clone(),
            default_name: default_alias,
            api: options.template_api.unwrap_or(TemplateApi::Auto),
            overwrite: options.template_overwrite.unwrap_or(false),
            own,
            marks: profile.template_marks,
            ecs,
        };
        Ok(Setup {
            template: Some(template).filter(|_| options.manage_template.unwrap_or(!is_stream)),
            life_cycle: LifeCycle {
                is_wanted: !is_stream
                    && ilm_enabled != "false"
                    && (is_default_index || alias != default_alias),
                is_demanded: ilm_enabled == "true",
                alias,
                pattern: text(&options.ilm_pattern, "{now/d}-000001"),
                policy: text(&options.ilm_policy, DEFAULT_POLICY),
            },
            is_stream,
        })
    }

    /// Makes it. Gives whether events go to the alias of an index with a life cycle.
    pub(super) async fn run(&self, nodes: &Nodes, product: &Product) -> Result<bool, SetupError> {
        if self.is_stream && product.flavour == Flavour::Elasticsearch && !product.at_least(7, 9) {
            return Err(SetupError::Never(format!(
                "A data_stream configuration is only supported since Elasticsearch 7.9.0 (detected version {}), please \
                 upgrade your cluster",
                product.version
            )));
        }
        if product.flavour == Flavour::Elasticsearch {
            check_license(nodes).await?;
        }
        let ilm = self.life_cycle.in_use(product)?;
        if let Some(template) = &self.template {
            template.install(nodes, product, Some(&self.life_cycle).filter(|_| ilm)).await?;
        }
        if ilm {
            self.life_cycle.make(nodes).await?;
        }
        Ok(ilm)
    }
}

fn read_template(path: &Path) -> Result<Value, String> {
    let failed = |reason: String| format!("Failed to load template file '{}': {reason}", path.display());
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > TEMPLATE_BYTES_MAX {
        return Err(failed(format!("it is larger than {TEMPLATE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let template: Value = serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
    if template.is_object() { Ok(template) } else { Err(failed("it holds no JSON object".into())) }
}

impl IndexTemplate {
    async fn install(
        &self,
        nodes: &Nodes,
        product: &Product,
        ilm: Option<&LifeCycle>,
    ) -> Result<(), SetupError> {
        let is_composable = self.is_composable(product)?;
        let default = || default_template(self.ecs, product, is_composable.then_some(self.marks));
        let mut template = self.own.clone().unwrap_or_else(default);
        if let Some(ilm) = ilm {
            ilm.add_to(&mut template, is_composable);
        }
        if product.flavour == Flavour::Serverless {
            strip_serverless_settings(&mut template);
        }
        let default_name = ilm.map_or(self.default_name, |ilm| &ilm.alias);
        let name = self.name.as_deref().unwrap_or(default_name);
        let path =
            format!("{}/{}", if is_composable { "_index_template" } else { "_template" }, encode(name));
        if !self.overwrite {
            match exists(nodes, Method::HEAD, &path).await {
                Ok(false) => {}
                Ok(true) => {
                    tracing::debug!(
                        name,
                        "Found existing Elasticsearch template, skipping template management"
                    );
                    return Ok(());
                }
                // Who may not look may be allowed to write documents.
                Err(SetupError::Never(reason)) => {
                    tracing::error!(name, reason, "Failed to look for the template; going on without it");
                    return Ok(());
                }
                Err(later) => return Err(later),
            }
        }
        tracing::info!(name, "Installing Elasticsearch template");
        let answer = nodes.api(Method::PUT, &path, Some(template.to_string())).await?;
        // A cluster without the API, or one that refuses the template, works without it, too.
        match accepted("Failed to install template", &answer) {
            Err(SetupError::Never(reason)) => {
                if answer.status != StatusCode::NOT_FOUND {
                    tracing::error!(name, reason, "Failed to install template; going on without it");
                }
                Ok(())
            }
            installed => installed,
        }
    }

    fn is_composable(&self, product: &Product) -> Result<bool, SetupError> {
        match (self.api, product.flavour) {
            (TemplateApi::Legacy, Flavour::Serverless) => Err(SetupError::Never(
                "Invalid template configuration `template_api => legacy`. Serverless Elasticsearch does not support \
                 legacy template API."
                    .into(),
            )),
            (_, Flavour::Serverless) | (TemplateApi::Composable, _) => Ok(true),
            (TemplateApi::Legacy, _) => Ok(false),
            // OpenSearch counts its versions anew.
            (TemplateApi::Auto, flavour) => Ok(flavour == Flavour::OpenSearch || product.major() >= 8),
        }
    }
}

fn strip_serverless_settings(template: &mut Value) {
    let place =
        if template.pointer("/template/settings").is_some() { "/template/settings" } else { "/settings" };
    if let Some(settings) = template.pointer_mut(place).and_then(Value::as_object_mut) {
        for name in ["number_of_shards", "number_of_replicas"] {
            settings.remove(name);
            settings.remove(&format!("index.{name}"));
        }
    }
}

impl LifeCycle {
    fn in_use(&self, product: &Product) -> Result<bool, SetupError> {
        let who = match product.flavour {
            Flavour::Elasticsearch => return Ok(self.is_wanted),
            Flavour::Serverless => "Serverless Elasticsearch cluster",
            Flavour::OpenSearch => "OpenSearch",
        };
        if self.is_demanded {
            return Err(SetupError::Never(format!(
                "Invalid ILM configuration `ilm_enabled => true`. {who} does not support Index Lifecycle Management."
            )));
        }
        if self.is_wanted {
            tracing::info!(
                who,
                "ILM auto configuration (`ilm_enabled => auto` or unset) resolved to `false`: Index Lifecycle Management is not supported"
            );
        }
        Ok(false)
    }

    /// Makes the template that of the indices behind the alias.
    fn add_to(&self, template: &mut Value, is_composable: bool) {
        let Some(template) = template.as_object_mut() else { return };
        template.insert("index_patterns".into(), json!(format!("{}-*", self.alias)));
        let is_nested =
            template.contains_key("template") || (is_composable && !template.contains_key("settings"));
        let holder = if is_nested {
            template.entry("template").or_insert_with(|| json!({})).as_object_mut()
        } else {
            Some(template)
        };
        let settings =
            holder.and_then(|holder| holder.entry("settings").or_insert_with(|| json!({})).as_object_mut());
        if let Some(settings) = settings {
            settings.insert("index.lifecycle.name".into(), json!(self.policy));
            settings.insert("index.lifecycle.rollover_alias".into(), json!(self.alias));
        }
    }

    async fn make(&self, nodes: &Nodes) -> Result<(), SetupError> {
        if !exists(nodes, Method::HEAD, &encode(&self.alias)).await? {
            let index = encode(&format!("<{}-{}>", self.alias, self.pattern));
            let mut aliases = serde_json::Map::new();
            aliases.insert(self.alias.clone(), json!({"is_write_index": true}));
            let answer =
                nodes.api(Method::PUT, &index, Some(json!({"aliases": aliases}).to_string())).await?;
            if answer.status == StatusCode::BAD_REQUEST {
                tracing::info!(name = self.alias, "Rollover alias already exists, skipping");
            } else {
                accepted("Failed to create the rollover alias", &answer)?;
                tracing::info!(name = self.alias, "Created rollover alias");
            }
        }
        let path = format!("_ilm/policy/{}", encode(&self.policy));
        if exists(nodes, Method::GET, &path).await? {
            return Ok(());
        }
        if self.policy != DEFAULT_POLICY {
            return Err(SetupError::Never(format!(
                "The specified ILM policy {} does not exist on your Elasticsearch instance",
                self.policy
            )));
        }
        tracing::info!(name = self.policy, "Installing ILM policy");
        let hot = json!({"actions": {"rollover": {"max_size": "50gb", "max_age": "30d"}}});
        let policy = json!({"policy": {"phases": {"hot": hot}}});
        accepted(
            "Failed to install the ILM policy",
            &nodes.api(Method::PUT, &path, Some(policy.to_string())).await?,
        )
    }
}

/// Says so where the licence is not in force; that is the user's business, and no reason not to write.
async fn check_license(nodes: &Nodes) -> Result<(), SetupError> {
    let answer = nodes.api(Method::GET, "_license", None).await?;
    let license: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let status = license.pointer("/license/status").and_then(Value::as_str);
    if let Some(status) = status.filter(|status| *status != "active") {
        tracing::warn!(
            status,
            "Elasticsearch license is not active, please check Elasticsearch's licensing information"
        );
    }
    Ok(())
}

async fn exists(nodes: &Nodes, method: Method, path: &str) -> Result<bool, SetupError> {
    let answer = nodes.api(method, path, None).await?;
    if answer.status == StatusCode::NOT_FOUND {
        return Ok(false);
    }
    accepted(path, &answer).map(|()| true)
}

/// Elasticsearch's no is for good, unless it is only busy or hurt.
fn accepted(what: &str, answer: &HttpResponse) -> Result<(), SetupError> {
    let status = answer.status;
    if status.is_success() {
        return Ok(());
    }
    let text =
        format!("{what}: Got response code '{}': {}", status.as_u16(), String::from_utf8_lossy(&answer.body));
    let is_passing = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
        || status.is_server_error();
    Err(if is_passing { SetupError::Later(text) } else { SetupError::Never(text) })
}

/// A name as one segment of a path.
fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
