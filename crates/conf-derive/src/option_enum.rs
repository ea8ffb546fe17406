//! `#[derive(OptionEnum)]`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, LitStr, Result, Variant};

use crate::attributes::OptionArgs;

pub(crate) fn expand(input: &DeriveInput) -> Result<TokenStream> {
    let Data::Enum(data) = &input.data else {
        return Err(Error::new_spanned(&input.ident, "the words of an option are an enum"));
    };
    let (mut variants, mut names) = (Vec::new(), Vec::new());
    for variant in &data.variants {
        if !variant.fields.is_empty() {
            return Err(Error::new_spanned(variant, "a word has no fields"));
        }
        variants.push(&variant.ident);
        names.push(name_of(variant)?);
    }
    let ty = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::ferrostash_conf::OptionEnum for #ty {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            fn from_name(name: &str) -> ::std::option::Option<Self> {
                match name {
                    #(#names => ::std::option::Option::Some(Self::#variants),)*
                    _ => ::std::option::Option::None,
                }
            }

            fn name(&self) -> &'static str {
                match self {
                    #(Self::#variants => #names,)*
                }
            }
        }

        #[automatically_derived]
        impl ::ferrostash_conf::FromConf for #ty {
            const KIND: ::ferrostash_conf::OptionKind = ::ferrostash_conf::OptionKind::Enum;
            const VALUES: &'static [&'static str] = <Self as ::ferrostash_conf::OptionEnum>::NAMES;

            fn convert(
                value: &::ferrostash_conf::ConfValue,
            ) -> ::std::result::Result<Self, ::ferrostash_conf::ConvertError> {
                value
                    .to_text()
                    .and_then(|name| <Self as ::ferrostash_conf::OptionEnum>::from_name(&name))
                    .ok_or_else(|| ::ferrostash_conf::ConvertError::new(
                        value,
                        ::std::format!("expected one of {}", <Self as ::ferrostash_conf::OptionEnum>::NAMES.join(", ")),
                    ))
            }
        }
    })
}

/// The variant in snake case, unless it is renamed.
fn name_of(variant: &Variant) -> Result<String> {
    if let Some(name) = OptionArgs::of(&variant.attrs)?.rename {
        return Ok(LitStr::value(&name));
    }
    let mut name = String::new();
    for c in variant.ident.to_string().chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    Ok(name)
}
