//! What stands in `#[option(…)]` and `#[plugin(…)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{
    Attribute, Error, Expr, ExprLit, ExprRange, Ident, Lit, LitStr, Meta, RangeLimits, Result, Token, UnOp,
};

/// The arguments of one `#[option(…)]`.
#[derive(Default)]
pub(crate) struct OptionArgs {
    pub(crate) flatten: bool,
    pub(crate) required: bool,
    pub(crate) list: bool,
    pub(crate) default: Option<Default_>,
    pub(crate) default_text: Option<LitStr>,
    pub(crate) rename: Option<LitStr>,
    pub(crate) kind: Option<LitStr>,
    pub(crate) values: Option<Vec<LitStr>>,
    pub(crate) range: Option<(Expr, Expr)>,
    pub(crate) unit: Option<LitStr>,
    pub(crate) deprecated: Option<LitStr>,
    pub(crate) obsolete: Option<LitStr>,
    pub(crate) unsupported: Option<LitStr>,
}

/// A default value.
pub(crate) enum Default_ {
    /// As in a configuration: how to make the value, and its text.
    Written { value: TokenStream, text: String },
    /// An expression of the field's type.
    Rust(Box<Expr>),
}

impl OptionArgs {
    /// All `#[option(…)]` of a field or variant together.
    pub(crate) fn of(attributes: &[Attribute]) -> Result<OptionArgs> {
        let mut args = OptionArgs::default();
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("option")) {
            for Arg(merge) in attribute.parse_args_with(Punctuated::<Arg, Token![,]>::parse_terminated)? {
                merge(&mut args);
            }
        }
        Ok(args)
    }
}

struct Arg(Box<dyn FnOnce(&mut OptionArgs)>);

impl Parse for Arg {
    fn parse(input: ParseStream<'_>) -> Result<Arg> {
        let name: Ident = input.parse()?;
        match name.to_string().as_str() {
            "flatten" => return Ok(Arg(Box::new(|args| args.flatten = true))),
            "required" => return Ok(Arg(Box::new(|args| args.required = true))),
            "list" => return Ok(Arg(Box::new(|args| args.list = true))),
            _ => {}
        }
        input.parse::<Token![=]>()?;
        Ok(Arg(match name.to_string().as_str() {
            "default" => {
                let default = parse_default(input)?;
                Box::new(|args| args.default = Some(default))
            }
            "range" => {
                let range = parse_range(input)?;
                Box::new(|args| args.range = Some(range))
            }
            "values" => {
                let list;
                syn::bracketed!(list in input);
                let values = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?.into_iter().collect();
                Box::new(|args| args.values = Some(values))
            }
            other => {
                let slot: fn(&mut OptionArgs) -> &mut Option<LitStr> = match other {
                    "default_text" => |args| &mut args.default_text,
                    "rename" => |args| &mut args.rename,
                    "kind" => |args| &mut args.kind,
                    "unit" => |args| &mut args.unit,
                    "deprecated" => |args| &mut args.deprecated,
                    "obsolete" => |args| &mut args.obsolete,
                    "unsupported" => |args| &mut args.unsupported,
                    _ => return Err(Error::new(name.span(), "no such argument")),
                };
                let text: LitStr = input.parse()?;
                Box::new(move |args| *slot(args) = Some(text))
            }
        }))
    }
}

fn parse_range(input: ParseStream<'_>) -> Result<(Expr, Expr)> {
    let range: ExprRange = input.parse()?;
    match (range.limits, range.start, range.end) {
        (RangeLimits::Closed(_), Some(start), Some(end)) => Ok((*start, *end)),
        _ => Err(input.error("a range has two ends, which belong to it: `MIN..=MAX`")),
    }
}

fn parse_default(input: ParseStream<'_>) -> Result<Default_> {
    if input.peek(syn::token::Brace) {
        let content;
        syn::braced!(content in input);
        if !content.is_empty() {
            return Err(content.error("only the empty hash can be written here; use an expression"));
        }
        let value = quote!(::ferrostash_conf::ConfValue::new(
            ::ferrostash_conf::Span::nowhere(),
            ::ferrostash_conf::ConfKind::Hash(::std::vec::Vec::new()),
        ));
        return Ok(Default_::Written { value, text: "{}".to_owned() });
    }
    let expression: Expr = input.parse()?;
    Ok(match written(&expression) {
        Some((value, text)) => Default_::Written { value, text },
        None => Default_::Rust(Box::new(expression)),
    })
}

/// The value and text of a literal, or of a list of literals.
fn written(expression: &Expr) -> Option<(TokenStream, String)> {
    let make = |kind: TokenStream| {
        quote!(::ferrostash_conf::ConfValue::new(
            ::ferrostash_conf::Span::nowhere(),
            ::ferrostash_conf::ConfKind::#kind,
        ))
    };
    match expression {
        Expr::Lit(ExprLit { lit, .. }) => Some(match lit {
            Lit::Str(text) => (make(quote!(Text(::std::string::String::from(#text)))), text.value()),
            Lit::Bool(value) => (make(quote!(Bool(#value))), value.value.to_string()),
            Lit::Int(number) => (make(quote!(Int(#number))), number.base10_digits().to_owned()),
            Lit::Float(number) => (make(quote!(Float(#number))), number.base10_digits().to_owned()),
            _ => return None,
        }),
        Expr::Unary(unary) if matches!(unary.op, UnOp::Neg(_)) => match &*unary.expr {
            Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) => {
                Some((make(quote!(Int(-#number))), format!("-{}", number.base10_digits())))
            }
            Expr::Lit(ExprLit { lit: Lit::Float(number), .. }) => {
                Some((make(quote!(Float(-#number))), format!("-{}", number.base10_digits())))
            }
            _ => None,
        },
        Expr::Array(array) => {
            let items: Option<Vec<_>> = array.elems.iter().map(written).collect();
            let (values, texts): (Vec<_>, Vec<_>) = items?.into_iter().unzip();
            let quoted: Vec<String> =
                array.elems.iter().zip(texts).map(|(e, text)| quoted(e, text)).collect();
            let value = make(quote!(Array(::std::vec![#(#values),*])));
            Some((value, format!("[{}]", quoted.join(", "))))
        }
        _ => None,
    }
}

fn quoted(expression: &Expr, text: String) -> String {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(_), .. }) => format!("{text:?}"),
        _ => text,
    }
}

/// What `#[plugin(…)]` says.
pub(crate) enum PluginArgs {
    /// Kind (as a variant of `PluginKind`) and name.
    Plugin(Ident, LitStr),
    /// Options that every plugin of a kind has.
    Common,
    /// Nothing: options that belong to no plugin alone.
    None,
}

impl PluginArgs {
    pub(crate) fn of(attributes: &[Attribute]) -> Result<PluginArgs> {
        let mut found = PluginArgs::None;
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("plugin")) {
            attribute.parse_nested_meta(|meta| {
                let name = meta.path.require_ident()?.to_string();
                if name == "common" {
                    found = PluginArgs::Common;
                    return Ok(());
                }
                let kind = match name.as_str() {
                    "input" => "Input",
                    "filter" => "Filter",
                    "output" => "Output",
                    "codec" => "Codec",
                    _ => return Err(meta.error("expected input, filter, output, codec or common")),
                };
                found = PluginArgs::Plugin(Ident::new(kind, Span::call_site()), meta.value()?.parse()?);
                Ok(())
            })?;
        }
        Ok(found)
    }
}

/// The doc comment, without the blank that begins each line.
pub(crate) fn doc(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("doc")) {
        if let Meta::NameValue(meta) = &attribute.meta
            && let Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) = &meta.value
        {
            let text = text.value();
            lines.extend(text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()));
            if text.is_empty() {
                lines.push(String::new());
            }
        }
    }
    lines.join("\n")
}
