//! The options of the schema registry.

use ferrostash_conf::{OptionEnum, Options, Password, Spanned, Uri};

/// Where the schemas of Avro values are.
#[derive(Options, Clone, Debug)]
pub(crate) struct RegistryOptions {
    /// The schema registry. Values are then Avro in Confluent's framing, and are handed to the codec as JSON.
    pub(crate) schema_registry_url: Option<Spanned<Uri>>,
    /// The user at the registry.
    pub(crate) schema_registry_key: Option<String>,
    /// Its password.
    pub(crate) schema_registry_secret: Option<Password>,
    /// A proxy on the way to the registry; none when empty.
    #[option(kind = "uri_or_empty")]
    pub(crate) schema_registry_proxy: Option<Password>,
    /// Our own certificate and key, where the registry asks for one.
    pub(crate) schema_registry_ssl_keystore_location: Option<String>,
    /// The keystore's password.
    pub(crate) schema_registry_ssl_keystore_password: Option<Password>,
    /// What the keystore is.
    #[option(default = "jks")]
    pub(crate) schema_registry_ssl_keystore_type: StoreType,
    /// The certificates that the registry is trusted by; those of the system when absent.
    pub(crate) schema_registry_ssl_truststore_location: Option<String>,
    /// The truststore's password.
    pub(crate) schema_registry_ssl_truststore_password: Option<Password>,
    /// What the truststore is.
    #[option(default = "jks")]
    pub(crate) schema_registry_ssl_truststore_type: StoreType,
    /// Whether the start waits for the registry and for a schema of each topic (`auto`), or not (`skip`).
    #[option(default = "auto")]
    pub(crate) schema_registry_validation: Validation,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreType {
    Jks,
    #[option(rename = "PKCS12")]
    Pkcs12,
}

#[derive(OptionEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    Auto,
    Skip,
}
