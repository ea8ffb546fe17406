//! `#[derive(Options)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::ext::IdentExt;
use syn::{
    Data, DeriveInput, Error, Field, Fields, GenericArgument, Ident, LitStr, PathArguments, Result, Type,
};

use crate::attributes::{Default_, OptionArgs, PluginArgs, doc};

/// Logstash's names of validators, with the variants of `OptionKind`.
const KINDS: [(&str, &str); 25] = [
    ("string", "String"),
    ("number", "Number"),
    ("boolean", "Boolean"),
    ("array", "Array"),
    ("hash", "Hash"),
    ("password", "Password"),
    ("uri", "Uri"),
    ("path", "Path"),
    ("bytes", "Bytes"),
    ("codec", "Codec"),
    ("field_reference", "FieldReference"),
    ("sha_256_hex", "Sha256Hex"),
    ("ipaddr", "IpAddr"),
    ("ecs_compatibility_argument", "EcsCompatibility"),
    ("friendly_duration", "FriendlyDuration"),
    ("positive_whole_number", "PositiveWholeNumber"),
    ("uri_or_empty", "UriOrEmpty"),
    ("required_host_optional_port", "RequiredHostOptionalPort"),
    ("jdbc_timezone_spec", "JdbcTimezoneSpec"),
    ("dataset_identifier", "DatasetIdentifier"),
    ("namespace_identifier", "NamespaceIdentifier"),
    ("enum", "Enum"),
    ("float", "Float"),
    ("custom", "Custom"),
    ("any", "Any"),
];

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Struct(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "options are a struct"));
    };
    let fields = match &data.fields {
        Fields::Named(named) => named.named.iter().map(OptionField::of).collect::<Result<Vec<_>>>()?,
        Fields::Unit => Vec::new(),
        Fields::Unnamed(_) => return Err(Error::new_spanned(&input.ident, "options have names")),
    };
    let plugin_args = PluginArgs::of(&input.attrs)?;
    let common = matches!(plugin_args, PluginArgs::Common);
    let plugin = match plugin_args {
        PluginArgs::Plugin(kind, name) => {
            quote!(::std::option::Option::Some((::ferrostash_conf::PluginKind::#kind, #name)))
        }
        PluginArgs::Common | PluginArgs::None => quote!(::std::option::Option::None),
    };
    let (name, doc) = (&input.ident, doc(&input.attrs));
    let lists = option_lists(&fields);
    let all = match lists.as_slice() {
        [list] => list.clone(),
        lists => quote!(&::ferrostash_conf::join_options::<{ 0 #(+ (#lists).len())* }>(&[#(#lists),*])),
    };
    let reads = fields.iter().map(OptionField::read);
    let idents: Vec<&Ident> = fields.iter().map(|field| &field.ident).collect();
    let locals: Vec<Ident> = idents.iter().map(|ident| format_ident!("option_{}", ident.unraw())).collect();
    let refused = fields.iter().filter(|field| field.is_refused()).map(|field| &field.ident);
    Ok(quote! {
        #[automatically_derived]
        impl ::ferrostash_conf::OptionsDef for #name {
            const PLUGIN: ::std::option::Option<(::ferrostash_conf::PluginKind, &'static str)> = #plugin;
            const DOC: &'static str = #doc;
            const OPTIONS: &'static [::ferrostash_conf::OptionDef] = #all;

            #[allow(unused_mut, clippy::let_unit_value)]
            fn read(reader: &mut ::ferrostash_conf::OptionReader<'_>) -> ::std::option::Option<Self> {
                #(let #locals = #reads;)*
                let options = Self { #(#idents: #locals?),* };
                // Nobody else reads the options that are always refused.
                #(let _ = &options.#refused;)*
                ::std::option::Option::Some(options)
            }

            fn from_conf(
                block: &::ferrostash_conf::PluginBlock,
                diagnostics: &mut ::ferrostash_conf::Diagnostics,
            ) -> ::std::option::Option<Self> {
                let mut reader = ::ferrostash_conf::OptionReader::new(
                    block,
                    <Self as ::ferrostash_conf::OptionsDef>::OPTIONS,
                    #common,
                    diagnostics,
                );
                let options = <Self as ::ferrostash_conf::OptionsDef>::read(&mut reader);
                reader.finish(options)
            }
        }
    })
}

/// The definitions of the fields: a list for each row of options, and those of each struct between them.
fn option_lists(fields: &[OptionField]) -> Vec<TokenStream> {
    let mut lists = Vec::new();
    for run in fields.chunk_by(|one, other| !one.args.flatten && !other.args.flatten) {
        lists.push(match run {
            [group] if group.args.flatten => group.group_options(),
            run => {
                let definitions = run.iter().map(OptionField::definition);
                quote!(&[#(#definitions),*])
            }
        });
    }
    if lists.is_empty() {
        lists.push(quote!(&[]));
    }
    lists
}

/// One field of the struct.
struct OptionField {
    ident: Ident,
    name: String,
    doc: String,
    args: OptionArgs,
    /// The type, without `Option`.
    ty: Type,
    is_optional: bool,
    is_unit: bool,
}

impl OptionField {
    fn of(field: &Field) -> Result<OptionField> {
        let args = OptionArgs::of(&field.attrs)?;
        let Some(ident) = field.ident.clone() else {
            return Err(Error::new_spanned(field, "options have names"));
        };
        let name = args.rename.as_ref().map_or_else(|| ident.unraw().to_string(), LitStr::value);
        let inner = inside_option(&field.ty);
        let field = OptionField {
            name,
            doc: doc(&field.attrs),
            is_optional: inner.is_some(),
            is_unit: matches!(&field.ty, Type::Tuple(tuple) if tuple.elems.is_empty()),
            ty: inner.unwrap_or(&field.ty).clone(),
            ident,
            args,
        };
        field.validate()?;
        Ok(field)
    }

    fn validate(&self) -> Result<()> {
        let args = &self.args;
        if args.flatten {
            return Ok(());
        }
        let ways = [self.is_optional, args.required, args.default.is_some(), self.is_unit];
        if ways.into_iter().filter(|way| *way).count() != 1 {
            let message = "an option is Option<T>, or `required`, or has a `default`: exactly one of these";
            return Err(Error::new(self.ident.span(), message));
        }
        if args.obsolete.is_some() && !self.is_unit {
            return Err(Error::new(self.ident.span(), "an obsolete option has the type ()"));
        }
        if self.is_unit && args.obsolete.is_none() && args.unsupported.is_none() {
            return Err(Error::new(
                self.ident.span(),
                "only an option that is always refused has the type ()",
            ));
        }
        if args.unsupported.is_some() && !self.is_unit && !self.is_optional {
            return Err(Error::new(self.ident.span(), "an unsupported option has the type () or Option<T>"));
        }
        match &args.kind {
            Some(kind) if !KINDS.iter().any(|(name, _)| *name == kind.value()) => {
                Err(Error::new(kind.span(), "no such validator"))
            }
            _ => Ok(()),
        }
    }

    /// The options of the struct that the field is.
    fn group_options(&self) -> TokenStream {
        let ty = &self.ty;
        quote!(<#ty as ::ferrostash_conf::OptionsDef>::OPTIONS)
    }

    fn is_refused(&self) -> bool {
        self.args.obsolete.is_some() || self.args.unsupported.is_some()
    }

    fn definition(&self) -> TokenStream {
        let OptionField { name, doc, args, ty, .. } = self;
        let (required, list) = (args.required, args.list);
        let from_conf = quote!(<#ty as ::ferrostash_conf::FromConf>);
        let kind = match (&args.kind, &args.values) {
            (Some(kind), _) => {
                let variant = KINDS.iter().find(|(name, _)| *name == kind.value()).map_or("Any", |(_, v)| v);
                let variant = Ident::new(variant, kind.span());
                quote!(::ferrostash_conf::OptionKind::#variant)
            }
            (None, Some(_)) => quote!(::ferrostash_conf::OptionKind::Enum),
            (None, None) if list => quote!(#from_conf::ELEMENT),
            (None, None) => quote!(#from_conf::KIND),
        };
        let values = match &args.values {
            Some(values) => quote!(&[#(#values),*]),
            None => quote!(#from_conf::VALUES),
        };
        let default = optional(self.default_text());
        let range = match &args.range {
            Some((min, max)) => quote!(::std::option::Option::Some((#min, #max))),
            None => quote!(::std::option::Option::None),
        };
        let unit = args.unit.as_ref().map_or_else(|| "s".to_owned(), LitStr::value);
        let [deprecated, obsolete, unsupported] = [&args.deprecated, &args.obsolete, &args.unsupported]
            .map(|text| optional(text.as_ref().map(LitStr::value)));
        quote! {
            ::ferrostash_conf::OptionDef {
                name: #name,
                kind: #kind,
                list: #list,
                required: #required,
                default: #default,
                values: #values,
                range: #range,
                unit: #unit,
                deprecated: #deprecated,
                obsolete: #obsolete,
                unsupported: #unsupported,
                doc: #doc,
            }
        }
    }

    fn default_text(&self) -> Option<String> {
        if let Some(text) = &self.args.default_text {
            return Some(text.value());
        }
        match self.args.default.as_ref()? {
            Default_::Written { text, .. } => Some(text.clone()),
            Default_::Rust(expression) => Some(quote!(#expression).to_string()),
        }
    }

    /// The expression that reads the option: an `Option` of the field's type.
    fn read(&self) -> TokenStream {
        let OptionField { name, ty, args, .. } = self;
        match &args.default {
            _ if args.flatten => quote!(<#ty as ::ferrostash_conf::OptionsDef>::read(reader)),
            _ if self.is_unit => quote!(reader.or_else::<()>(#name, || ::std::option::Option::Some(()))),
            _ if self.is_optional => quote!(reader.optional::<#ty>(#name)),
            None => quote!(reader.required::<#ty>(#name)),
            Some(Default_::Written { value, .. }) => quote!(reader.with_default::<#ty>(#name, || #value)),
            Some(Default_::Rust(expression)) => {
                quote!(reader.or_else::<#ty>(#name, || ::std::option::Option::Some(#expression)))
            }
        }
    }
}

fn optional(text: Option<String>) -> TokenStream {
    match text {
        Some(text) => quote!(::std::option::Option::Some(#text)),
        None => quote!(::std::option::Option::None),
    }
}

/// The `T` of `Option<T>`.
fn inside_option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|segment| segment.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    match arguments.args.first() {
        Some(GenericArgument::Type(inner)) => Some(inner),
        _ => None,
    }
}
