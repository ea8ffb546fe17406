//! From a condition as written to tests.

use super::compare::{equal, order};
use super::test::{Constant, Order, Test, Texts};
use ferrostash_conf::{
    CompareOperator, Condition, ConditionKind, ConfKind, ConfValue, Diagnostic, Diagnostics, Operand,
    SourceMap, Span,
};
use ferrostash_event::FieldRef;
use ferrostash_grok::Regex;

const UNEXPECTED: &str =
    "Java::OrgLogstashConfigIrCompiler::EventCondition::Compiler::UnexpectedTypeException";

/// Compiles one condition. Where a method returns `None`, what is wrong was reported.
pub(super) struct Compiler<'a> {
    sources: &'a SourceMap,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(sources: &'a SourceMap, diagnostics: &'a mut Diagnostics) -> Compiler<'a> {
        Compiler { sources, diagnostics }
    }

    pub(super) fn test(&mut self, condition: &Condition) -> Option<Test> {
        match &condition.kind {
            ConditionKind::And(left, right) => Some(Test::And(self.both(condition, left, right)?)),
            ConditionKind::Or(left, right) => Some(Test::Or(self.both(condition, left, right)?)),
            ConditionKind::Xor(left, right) => Some(Test::Xor(self.both(condition, left, right)?)),
            ConditionKind::Not(inner) => self.test(inner).map(negated),
            ConditionKind::Truthy(Operand::Field { field, .. }) => Some(Test::Truthy(field.clone())),
            ConditionKind::Truthy(Operand::Constant(value)) => Some(Test::Constant(is_truthy(value))),
            ConditionKind::Compare { left, operator, right } => {
                self.compare(condition.span, left, *operator, right)
            }
            ConditionKind::In { item, list } => self.membership(condition.span, item, list),
            ConditionKind::Match { subject, pattern, pattern_span } => {
                self.matches(condition.span, subject, pattern, *pattern_span)
            }
        }
    }

    fn both(&mut self, whole: &Condition, left: &Condition, right: &Condition) -> Option<Box<(Test, Test)>> {
        for side in [left, right] {
            if let ConditionKind::Truthy(Operand::Constant(_)) = side.kind {
                let message = "a constant cannot be joined with a condition";
                let help = "what is joined must ask something of the event: a field, a comparison, a match";
                self.refuse(message, side.span, help, class_of(left), whole.span, class_of(right));
                return None;
            }
        }
        // Both sides are looked at, so that one run shows all errors.
        let (left, right) = (self.test(left), self.test(right));
        Some(Box::new((left?, right?)))
    }

    fn compare(
        &mut self,
        span: Span,
        left: &Operand,
        operator: CompareOperator,
        right: &Operand,
    ) -> Option<Test> {
        let wanted = Order::of(operator);
        let (field, other, wanted) = match (left, right) {
            (Operand::Field { field, .. }, other) => (field, other, wanted),
            (other, Operand::Field { field, .. }) => (field, other, wanted.map(Order::swapped)),
            (Operand::Constant(left), Operand::Constant(right)) => {
                return self.compare_constants(span, left, operator, right);
            }
        };
        let test = match (other, wanted) {
            (Operand::Field { field: other, .. }, None) if field == other => Test::Constant(true),
            (Operand::Field { field: other, .. }, None) => Test::EqualFields(field.clone(), other.clone()),
            (Operand::Field { field: other, .. }, Some(wanted)) => {
                Test::OrderFields(field.clone(), wanted, other.clone())
            }
            (Operand::Constant(value), None) => Test::Equal(field.clone(), self.scalar(value)?),
            (Operand::Constant(value), Some(wanted)) => {
                Test::Order(field.clone(), wanted, self.scalar(value)?)
            }
        };
        Some(if operator == CompareOperator::NotEqual { negated(test) } else { test })
    }

    fn compare_constants(
        &mut self,
        span: Span,
        left: &ConfValue,
        operator: CompareOperator,
        right: &ConfValue,
    ) -> Option<Test> {
        let (left, right) = (self.scalar(left)?, self.scalar(right)?);
        let Some(wanted) = Order::of(operator) else {
            let answer = equal(left.value(), right.value());
            return Some(Test::Constant(answer == (operator == CompareOperator::Equal)));
        };
        let (to, from) = (left.java_class(), right.java_class());
        match order(Some(left.value()), Some(right.value())) {
            Ok(order) if to == from => Some(Test::Constant(wanted.accepts(order))),
            _ => {
                let message = format!("class {from} cannot be cast to class {to}");
                self.diagnostics.push(
                    Diagnostic::error("two constants of different kinds have no order")
                        .at(span, "the answer would always be the same")
                        .logstash("Java::JavaLang::ClassCastException", message),
                );
                None
            }
        }
    }

    fn membership(&mut self, span: Span, item: &Operand, list: &Operand) -> Option<Test> {
        match (item, list) {
            (Operand::Field { field: item, .. }, Operand::Field { field: list, .. }) => {
                Some(Test::FieldInField(item.clone(), list.clone()))
            }
            (Operand::Field { field, .. }, Operand::Constant(value)) => self.field_in_constant(field, value),
            (Operand::Constant(value), Operand::Field { field, .. }) => {
                if let ConfKind::Array(_) = value.kind {
                    let message = "a list can be in nothing";
                    let help = "ask for each of its elements, joined with `or`";
                    self.refuse(message, value.span, help, "ValueExpression", span, "EventValueExpression");
                    return None;
                }
                Some(match self.scalar(value)? {
                    Constant::Text(text) => Test::TextInField(text, field.clone()),
                    number => Test::NumberInField(number, field.clone()),
                })
            }
            (Operand::Constant(item), Operand::Constant(list)) => {
                self.diagnostics.push(
                    Diagnostic::warning("this never asks anything of the event")
                        .at(span, "of two constants, only equal ones are in each other"),
                );
                Some(Test::Constant(same(item, list)))
            }
        }
    }

    fn field_in_constant(&mut self, field: &FieldRef, value: &ConfValue) -> Option<Test> {
        let ConfKind::Array(values) = &value.kind else {
            return Some(Test::FieldInText(field.clone(), self.scalar(value)?.text()));
        };
        let texts: Option<Vec<_>> = values.iter().map(|value| Some(self.scalar(value)?.text())).collect();
        Some(Test::FieldInList(field.clone(), Texts::new(texts?)))
    }

    fn matches(&mut self, span: Span, subject: &Operand, pattern: &str, pattern_span: Span) -> Option<Test> {
        let regex = Regex::new(pattern).map_err(|error| {
            self.diagnostics.push(
                Diagnostic::error(format!("this is no regular expression: {}", error.message()))
                    .at(offset_by(pattern_span, error.offset()), "")
                    .logstash("RegexpError", format!("{}: /{pattern}/", error.message())),
            );
        });
        match subject {
            Operand::Field { field, .. } => {
                let regex = regex.ok()?;
                let (place, engine) = (self.sources.place(span), regex.engine());
                let (engine, reason) = (engine.name(), engine.reason());
                tracing::debug!(place, pattern, engine, reason, "A pattern was compiled.");
                Some(Test::Match(field.clone(), regex))
            }
            Operand::Constant(value) => {
                let message = "only a field can be matched";
                let help = "put the field to match on the left";
                self.refuse(message, value.span, help, "ValueExpression", span, "RegexValueExpression");
                None
            }
        }
    }

    fn scalar(&mut self, value: &ConfValue) -> Option<Constant> {
        match &value.kind {
            ConfKind::Text(text) => Some(Constant::Text(text.as_str().into())),
            ConfKind::Int(i) => Some(Constant::Int(*i)),
            ConfKind::BigInt(text) => Some(Constant::BigInt(text.as_str().into())),
            ConfKind::Float(f) => Some(Constant::Float(*f)),
            ConfKind::Bool(b) => Some(Constant::Text(b.to_string().into())),
            ConfKind::Array(_) | ConfKind::Hash(_) | ConfKind::Plugin(_) | ConfKind::Missing => {
                self.diagnostics
                    .push(Diagnostic::error("only strings and numbers can be compared").at(value.span, ""));
                None
            }
        }
    }

    fn refuse(&mut self, message: &str, at: Span, help: &str, left: &str, whole: Span, right: &str) {
        let text = self.sources.slice(whole);
        let ir = "class org.logstash.config.ir.expression";
        let said = format!(
            "Unexpected conditional input combination of '{ir}.{left}' (left) and '{ir}.{right}' (right) in `{text}`"
        );
        self.diagnostics.push(Diagnostic::error(message).at(at, "").help(help).logstash(UNEXPECTED, said));
    }
}

fn class_of(condition: &Condition) -> &'static str {
    match condition.kind {
        ConditionKind::Truthy(Operand::Constant(_)) => "ValueExpression",
        ConditionKind::Truthy(Operand::Field { .. }) => "EventValueExpression",
        _ => "BooleanExpression",
    }
}

fn negated(test: Test) -> Test {
    match test {
        Test::Constant(answer) => Test::Constant(!answer),
        Test::Not(inner) => *inner,
        test => Test::Not(Box::new(test)),
    }
}

fn is_truthy(value: &ConfValue) -> bool {
    value.as_text().is_none_or(|text| !text.is_empty() && text != "false")
}

/// Equality of constants as Java sees it: kinds differ.
fn same(left: &ConfValue, right: &ConfValue) -> bool {
    match (&left.kind, &right.kind) {
        (ConfKind::Int(_), ConfKind::Float(_)) | (ConfKind::Float(_), ConfKind::Int(_)) => false,
        _ => left.same(right),
    }
}

/// The place `offset` bytes into a literal, behind its delimiter.
fn offset_by(literal: Span, offset: Option<usize>) -> Span {
    match offset {
        Some(offset) if literal.start + 1 + offset < literal.end => {
            Span { start: literal.start + 1 + offset, ..literal }
        }
        _ => literal,
    }
}
