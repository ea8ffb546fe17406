//! `#[derive(Options)]` and `#[derive(OptionEnum)]`: a plugin's options declared as a struct.
//!
//! ```ignore
//! /// Cuts string fields longer than a number of bytes.
//! #[derive(Options)]
//! #[plugin(filter = "truncate")]
//! struct Options {
//!     /// Fields to cut; all string fields when absent.
//!     fields: Option<Vec<FieldRef>>,
//!     /// Longest length, in bytes, a field may keep.
//!     #[option(required)]
//!     length_bytes: u64,
//! }
//! ```
//!
//! A field is `Option<T>`, or `required`, or has a `default`. Its type decides which validator applies; where the
//! type does not say it, `kind = "…"` does. What can stand in `#[option(…)]`:
//!
//! | | |
//! |---|---|
//! | `flatten` | not an option but a struct of options that several plugins have |
//! | `required` | the option has to be there |
//! | `default = …` | as in a configuration (`"x"`, `5`, `true`, `["a"]`, `{}`), or any expression of the field's type |
//! | `default_text = "…"` | the default as documentation shows it, where that is another text |
//! | `rename = "…"` | its name, where that is no Rust identifier |
//! | `kind = "…"` | the validator, by Logstash's name |
//! | `list` | a list of such values; one alone is a list of one |
//! | `values = ["…"]` | one of these words |
//! | `range = MIN..=MAX` | a number from here to there, both an `i64` |
//! | `unit = "…"` | the unit of a duration that is a number alone |
//! | `deprecated = "…"` | works, with this advice as a warning |
//! | `obsolete = "…"` | refused with this advice; the field's type is `()` |
//! | `unsupported = "…"` | refused with this reason; the field's type is `()` or `Option<T>` |

mod attributes;
mod option_enum;
mod options;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Writes the `OptionsDef` of a struct. `#[plugin(filter = "name")]` says whose options they are.
#[proc_macro_derive(Options, attributes(option, plugin))]
pub fn derive_options(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    options::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes an enum of words an option type: variants in snake case, or as `#[option(rename = "…")]` says.
#[proc_macro_derive(OptionEnum, attributes(option))]
pub fn derive_option_enum(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    option_enum::expand(&input).unwrap_or_else(syn::Error::into_compile_error).into()
}
