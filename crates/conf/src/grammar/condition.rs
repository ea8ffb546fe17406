//! What stands between `if` and its brace.

use nom::Err;

use super::{Grammar, Parsed};
use crate::ast::{
    BooleanOperator, CompareOperator, Condition, Expression, ExpressionKind, Operand, OperandKind,
};
use crate::source::Span;

const BOOLEAN: [(&str, &str, BooleanOperator); 4] = [
    ("and", "\"and\"", BooleanOperator::And),
    ("or", "\"or\"", BooleanOperator::Or),
    ("xor", "\"xor\"", BooleanOperator::Xor),
    ("nand", "\"nand\"", BooleanOperator::Nand),
];

/// In the order they are tried: the longer ones first.
const COMPARE: [(&str, &str, CompareOperator); 6] = [
    ("==", "\"==\"", CompareOperator::Equal),
    ("!=", "\"!=\"", CompareOperator::NotEqual),
    ("<=", "\"<=\"", CompareOperator::LessOrEqual),
    (">=", "\">=\"", CompareOperator::GreaterOrEqual),
    ("<", "\"<\"", CompareOperator::Less),
    (">", "\">\"", CompareOperator::Greater),
];

impl<'a> Grammar<'a> {
    /// `expression (cs operator cs expression)*`
    pub(super) fn condition(&self, i: &'a str) -> Parsed<'a, Condition> {
        let (mut rest, first) = self.expression(i)?;
        let mut others = Vec::new();
        while let Some((after, operator, span)) = self.one_of(self.cs(rest), &BOOLEAN) {
            let (after, expression) = self.expression(self.cs(after))?;
            others.push((operator, span, expression));
            rest = after;
        }
        Ok((rest, Condition { span: self.span(i, rest), first, rest: others }))
    }

    fn one_of<T: Copy>(
        &self,
        i: &'a str,
        table: &[(&'static str, &'static str, T)],
    ) -> Option<(&'a str, T, Span)> {
        table.iter().find_map(|(token, shown, value)| {
            self.literal(i, token, shown).ok().map(|(rest, span)| (rest, *value, span))
        })
    }

    fn expression(&self, i: &'a str) -> Parsed<'a, Expression> {
        let (rest, kind) = if i.starts_with('(') {
            self.group(i).map(|(rest, inner)| (rest, ExpressionKind::Group(Box::new(inner))))?
        } else {
            self.fail(i, "\"(\"");
            if i.starts_with('!') { self.negative(i)? } else { self.comparison(i)? }
        };
        Ok((rest, Expression { span: self.span(i, rest), kind }))
    }

    /// `"(" cs condition cs ")"`
    fn group(&self, i: &'a str) -> Parsed<'a, Condition> {
        let (rest, _) = self.literal(i, "(", "\"(\"")?;
        self.nested(i, || {
            let (rest, condition) = self.condition(self.cs(rest))?;
            let (rest, _) = self.literal(self.cs(rest), ")", "\")\"")?;
            Ok((rest, condition))
        })
    }

    /// `"!" cs group / "!" cs selector`
    fn negative(&self, i: &'a str) -> Parsed<'a, ExpressionKind> {
        let (rest, _) = self.literal(i, "!", "\"!\"")?;
        let inner = self.cs(rest);
        if inner.starts_with('(') {
            return self.group(inner).map(|(rest, inner)| (rest, ExpressionKind::NotGroup(Box::new(inner))));
        }
        self.fail(inner, "\"(\"");
        self.selector(inner).map(|(rest, span)| (rest, ExpressionKind::NotSelector(span)))
    }

    /// Everything that begins with an operand. Once an operator is there, nothing but its operand fits.
    fn comparison(&self, i: &'a str) -> Parsed<'a, ExpressionKind> {
        self.fail(i, "\"!\"");
        let (after_left, left) = self.operand(i)?;
        let i = self.cs(after_left);
        if let Ok((rest, _)) = self.literal(i, "in", "\"in\"") {
            let (rest, list) = self.operand(self.cs(rest))?;
            return Ok((rest, ExpressionKind::In { negated: false, item: left, list }));
        }
        if let Ok((rest, _)) = self.literal(i, "not ", "\"not \"") {
            let (rest, _) = self.literal(self.cs(rest), "in", "\"in\"")?;
            let (rest, list) = self.operand(self.cs(rest))?;
            return Ok((rest, ExpressionKind::In { negated: true, item: left, list }));
        }
        if let Some((rest, operator, _)) = self.one_of(i, &COMPARE) {
            let (rest, right) = self.operand(self.cs(rest))?;
            return Ok((rest, ExpressionKind::Compare { left, operator, right }));
        }
        if let Some((rest, negated, _)) = self.one_of(i, &[("=~", "\"=~\"", false), ("!~", "\"!~\"", true)]) {
            let (rest, pattern) = self.pattern(self.cs(rest))?;
            return Ok((rest, ExpressionKind::Match { negated, left, pattern }));
        }
        Ok((after_left, ExpressionKind::Operand(left)))
    }

    fn pattern(&self, i: &'a str) -> Parsed<'a, Operand> {
        match self.string(i) {
            Ok((rest, span)) => Ok((rest, Operand { span, kind: OperandKind::String })),
            Err(_) => self.regexp(i).map(|(rest, span)| (rest, Operand { span, kind: OperandKind::Regexp })),
        }
    }

    /// `string / number / selector / array / method_call / regexp`
    fn operand(&self, i: &'a str) -> Parsed<'a, Operand> {
        let simple = |kind| move |(rest, span)| (rest, Operand { span, kind });
        if let Ok(found) = self.string(i) {
            return Ok(simple(OperandKind::String)(found));
        }
        if let Ok(found) = self.number(i) {
            return Ok(simple(OperandKind::Number)(found));
        }
        if let Ok(found) = self.selector(i) {
            return Ok(simple(OperandKind::Selector)(found));
        }
        if i.starts_with('[') {
            let (rest, values) = self.array(i)?;
            return Ok((rest, Operand { span: self.span(i, rest), kind: OperandKind::Array(values) }));
        }
        match self.call(i) {
            Ok(found) => Ok(simple(OperandKind::Call)(found)),
            Err(Err::Error(())) => self.regexp(i).map(simple(OperandKind::Regexp)),
            Err(failure) => Err(failure),
        }
    }

    /// `("[" [^\]\[,]+ "]")+`
    fn selector(&self, i: &'a str) -> Parsed<'a, Span> {
        let (mut rest, ()) = self.selector_element(i)?;
        while let Ok((after, ())) = self.selector_element(rest) {
            rest = after;
        }
        Ok((rest, self.span(i, rest)))
    }

    fn selector_element(&self, i: &'a str) -> Parsed<'a, ()> {
        let (rest, _) = self.literal(i, "[", "\"[\"")?;
        let (rest, ()) = self.some_of(rest, |c| !matches!(c, ']' | '[' | ','), r"[^\]\[,]")?;
        let (rest, _) = self.literal(rest, "]", "\"]\"")?;
        Ok((rest, ()))
    }

    /// `bareword cs "(" cs (operand (cs "," cs operand)*)? cs ")"`
    fn call(&self, i: &'a str) -> Parsed<'a, Span> {
        let (rest, _) = self.bareword(i)?;
        let open = self.cs(rest);
        let (rest, _) = self.literal(open, "(", "\"(\"")?;
        self.nested(open, || {
            let mut rest = self.cs(rest);
            if let Ok((mut after, _)) = self.operand(rest) {
                while let Ok((next, _)) = self.literal(self.cs(after), ",", "\",\"") {
                    (after, _) = self.operand(self.cs(next))?;
                }
                rest = self.cs(after);
            }
            if self.too_deep.get().is_some() {
                return Err(Err::Failure(()));
            }
            let (rest, _) = self.literal(rest, ")", "\")\"")?;
            Ok((rest, self.span(i, rest)))
        })
    }
}
