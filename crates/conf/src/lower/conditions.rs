//! The structure of conditions.
//!
//! Logstash arranges `and` and `or` with a shunting yard that takes at most one operator off its stack at a time,
//! so `a and b and c or d` means `a and ((b and c) or d)`. It takes the operands of a comparison as the first
//! fields, numbers and strings it meets, so `[a] == ["x", "y"]` compares with `"x"`.

use ferrostash_event::FieldRef;

use super::Lowering;
use crate::ast::{self, BooleanOperator, Expression, ExpressionKind, OperandKind, ValueKind};
use crate::condition::{Condition, ConditionKind, Operand};
use crate::conf_value::{ConfKind, ConfValue};
use crate::diagnostics::Diagnostic;
use crate::source::Span;

impl Lowering<'_> {
    /// `None` when it was refused.
    pub(super) fn condition(&mut self, condition: &ast::Condition) -> Option<Condition> {
        self.check_operators(condition)?;
        let mut output = vec![self.expression(&condition.first)];
        let mut operators: Vec<BooleanOperator> = Vec::new();
        for (operator, _, expression) in &condition.rest {
            if operators.last().is_some_and(|last| binds_tighter(*last, *operator))
                && let Some(last) = operators.pop()
            {
                apply(&mut output, last);
            }
            operators.push(*operator);
            output.push(self.expression(expression));
        }
        while let Some(operator) = operators.pop() {
            apply(&mut output, operator);
        }
        output.pop().flatten()
    }

    /// `xor` and `nand` stand alone or in parentheses.
    fn check_operators(&mut self, condition: &ast::Condition) -> Option<()> {
        let rare = |(operator, ..): &&(BooleanOperator, Span, Expression)| {
            matches!(operator, BooleanOperator::Xor | BooleanOperator::Nand)
        };
        // The first two operators are looked at first, the left one before the right one.
        let Some((operator, span, _)) = condition.rest.iter().find(rare).filter(|_| condition.rest.len() > 1)
        else {
            return Some(());
        };
        let (name, method) =
            if *operator == BooleanOperator::Xor { ("xor", "eXor") } else { ("nand", "eNand") };
        let dsl = "Java::OrgLogstashConfigIr::DSL";
        let expression = "org.logstash.config.ir.expression.Expression";
        let message = format!(
            "Unexpected operator #<Method: #<{dsl}:{dsl}>#{method}(org.logstash.common.SourceWithMetadata,\
             {expression},{expression})({method})()>"
        );
        self.diagnostics.push(
            Diagnostic::error(format!("`{name}` cannot stand beside another operator"))
                .at(*span, "put its two sides in parentheses")
                .logstash("ArgumentError", message),
        );
        None
    }

    fn expression(&mut self, expression: &Expression) -> Option<Condition> {
        let span = expression.span;
        let make = |kind| Condition { span, kind };
        Some(match &expression.kind {
            ExpressionKind::Group(inner) => self.condition(inner)?,
            ExpressionKind::NotGroup(inner) => make(ConditionKind::Not(Box::new(self.condition(inner)?))),
            ExpressionKind::NotSelector(selector) => {
                let field = self.field(*selector)?;
                let inner = Condition { span: *selector, kind: ConditionKind::Truthy(field) };
                make(ConditionKind::Not(Box::new(inner)))
            }
            ExpressionKind::In { negated, item, list } => {
                let (item, list) = (self.operand(item)?, self.operand(list)?);
                negate(*negated, make(ConditionKind::In { item, list }))
            }
            ExpressionKind::Compare { left, operator, right } => {
                let (left, right) = self.compared(span, left, right)?;
                make(ConditionKind::Compare { left, operator: *operator, right })
            }
            ExpressionKind::Match { negated, left, pattern } => {
                let subject = self.subject(left)?;
                let text = if pattern.kind == OperandKind::String {
                    self.string(pattern.span)
                } else {
                    super::unquoted(self.text(pattern.span)).to_owned()
                };
                let kind = ConditionKind::Match { subject, pattern: text, pattern_span: pattern.span };
                negate(*negated, make(kind))
            }
            ExpressionKind::Operand(operand) => make(ConditionKind::Truthy(self.operand(operand)?)),
        })
    }

    fn operand(&mut self, operand: &ast::Operand) -> Option<Operand> {
        let span = operand.span;
        let kind = match &operand.kind {
            OperandKind::String => ConfKind::Text(self.string(span)),
            OperandKind::Number => self.number(span)?,
            OperandKind::Selector => return self.field(span),
            OperandKind::Array(values) => ConfKind::Array(self.array(values)?),
            OperandKind::Call => {
                self.diagnostics
                    .push(Diagnostic::error("conditions have no functions").at(span, "a function call"));
                return None;
            }
            OperandKind::Regexp => {
                self.diagnostics.push(
                    Diagnostic::error("a regular expression stands on the right of =~ or !~").at(span, ""),
                );
                return None;
            }
        };
        Some(Operand::Constant(ConfValue::new(span, kind)))
    }

    fn field(&mut self, span: Span) -> Option<Operand> {
        match FieldRef::parse(self.text(span)) {
            Ok(field) => Some(Operand::Field { span, field }),
            Err(error) => {
                self.diagnostics.push(
                    Diagnostic::error("this is no field reference")
                        .at(span, "")
                        .logstash("org.logstash.FieldReference$IllegalSyntaxException", error.to_string()),
                );
                None
            }
        }
    }

    /// The two sides of `==` and its kin.
    fn compared(
        &mut self,
        span: Span,
        left: &ast::Operand,
        right: &ast::Operand,
    ) -> Option<(Operand, Operand)> {
        let left = self.side(left)?;
        let right = self.side(right)?;
        let (mut left_items, mut right_items) = (left.into_iter(), right.into_iter());
        let first = left_items.next();
        match (first, left_items.next(), right_items.next()) {
            (Some(left), None, Some(right)) => Some((left, right)),
            (Some(_), None, None) => {
                let text = self.text(span);
                let at = self.source.line_column(span.start);
                let place =
                    format!("[{}]{}:{}:{}", self.source.protocol, self.source.name, at.line, at.column);
                self.diagnostics.push(
                    Diagnostic::error("this cannot be compared with")
                        .at(span, "use =~ for regular expressions")
                        .logstash(
                            "Java::JavaLang::IllegalArgumentException",
                            format!(
                                "Failed to parse right-hand side of conditional {place}:```\n{text}\n```"
                            ),
                        ),
                );
                None
            }
            (first, second, right) => {
                let method = if first.is_some() { second } else { right };
                let class = match method {
                    Some(Operand::Field { .. }) => "EventValueExpression",
                    _ => "ValueExpression",
                };
                self.diagnostics.push(
                    Diagnostic::error("the left side of a comparison is a field, a string or a number")
                        .at(span, "")
                        .logstash(
                            "NoMethodError",
                            format!(
                                "undefined method 'call' for an instance of \
                                 Java::OrgLogstashConfigIrExpression::{class}"
                            ),
                        ),
                );
                None
            }
        }
    }

    /// The fields, numbers and strings of one side; more than one if it is a list.
    fn side(&mut self, operand: &ast::Operand) -> Option<Vec<Operand>> {
        match &operand.kind {
            OperandKind::Array(values) => {
                let mut items = Vec::new();
                self.scalars(values, &mut items)?;
                if items.len() > 1 {
                    self.diagnostics.push(
                        Diagnostic::warning("only the first element of this list is compared")
                            .at(operand.span, "did you mean `in`?"),
                    );
                }
                Some(items)
            }
            OperandKind::Regexp => Some(Vec::new()),
            _ => Some(vec![self.operand(operand)?]),
        }
    }

    fn scalars(&mut self, values: &[ast::Value], items: &mut Vec<Operand>) -> Option<()> {
        for value in values {
            match &value.kind {
                ValueKind::String | ValueKind::Number => {
                    items.push(Operand::Constant(self.value(value)?));
                }
                ValueKind::Array(inner) => self.scalars(inner, items)?,
                ValueKind::Bareword | ValueKind::Hash(_) => {}
                ValueKind::Plugin(plugin) => {
                    self.refuse_plugin(plugin, "a list");
                    return None;
                }
            }
        }
        Some(())
    }

    /// The left side of `=~`: a field or a string.
    fn subject(&mut self, operand: &ast::Operand) -> Option<Operand> {
        if matches!(operand.kind, OperandKind::Selector | OperandKind::String | OperandKind::Call) {
            return self.operand(operand);
        }
        self.diagnostics.push(
            Diagnostic::error("the left side of =~ and !~ is a field or a string").at(operand.span, ""),
        );
        None
    }
}

fn binds_tighter(left: BooleanOperator, right: BooleanOperator) -> bool {
    left == BooleanOperator::And && right == BooleanOperator::Or
}

/// Joins the last two conditions; one that was refused takes the other with it.
fn apply(output: &mut Vec<Option<Condition>>, operator: BooleanOperator) {
    let (right, left) = (output.pop().flatten(), output.pop().flatten());
    output.push(left.zip(right).map(|(left, right)| join(operator, left, right)));
}

fn join(operator: BooleanOperator, left: Condition, right: Condition) -> Condition {
    let span = left.span.to(right.span);
    let (left, right) = (Box::new(left), Box::new(right));
    let kind = match operator {
        BooleanOperator::And => ConditionKind::And(left, right),
        BooleanOperator::Or => ConditionKind::Or(left, right),
        BooleanOperator::Xor => ConditionKind::Xor(left, right),
        BooleanOperator::Nand => {
            return negate(true, Condition { span, kind: ConditionKind::And(left, right) });
        }
    };
    Condition { span, kind }
}

fn negate(negated: bool, condition: Condition) -> Condition {
    if !negated {
        return condition;
    }
    Condition { span: condition.span, kind: ConditionKind::Not(Box::new(condition)) }
}

#[cfg(test)]
mod tests {
    use super::super::{Statement, lower};
    use super::*;
    use crate::diagnostics::Diagnostics;
    use crate::source::{Protocol, SourceMap};

    /// The structure of a condition in prefix form, or Logstash's sentence.
    fn structure(condition: &str) -> String {
        let mut sources = SourceMap::new();
        let id = sources.add(Protocol::File, "a.conf", format!("filter {{ if {condition} {{ x {{}} }} }}"));
        let source = sources.get(id).unwrap();
        let document = crate::grammar::parse(source).unwrap();
        let mut diagnostics = Diagnostics::new();
        let sections = lower(&document, source, false, &mut diagnostics);
        if let Some(error) = diagnostics.logstash_error() {
            return error.message.clone();
        }
        match sections.filters.first() {
            Some(Statement::If(statement)) => show(&statement.arms[0].condition),
            _ => diagnostics.iter().map(|d| d.message.clone()).collect(),
        }
    }

    fn show(condition: &Condition) -> String {
        match &condition.kind {
            ConditionKind::And(a, b) => format!("({} & {})", show(a), show(b)),
            ConditionKind::Or(a, b) => format!("({} | {})", show(a), show(b)),
            ConditionKind::Xor(a, b) => format!("({} ^ {})", show(a), show(b)),
            ConditionKind::Not(a) => format!("!{}", show(a)),
            ConditionKind::Truthy(a) => side(a),
            ConditionKind::Compare { left, operator, right } => {
                format!("{} {operator:?} {}", side(left), side(right))
            }
            ConditionKind::In { item, list } => format!("{} in {}", side(item), side(list)),
            ConditionKind::Match { subject, pattern, .. } => format!("{} ~ {pattern}", side(subject)),
        }
    }

    fn side(operand: &Operand) -> String {
        match operand {
            Operand::Field { field, .. } => field.as_str().to_owned(),
            Operand::Constant(value) => value.inspect(),
        }
    }

    #[test]
    fn precedence_is_logstashs() {
        assert_eq!(structure("[a] and [b] or [c]"), "(([a] & [b]) | [c])");
        assert_eq!(structure("[a] or [b] and [c]"), "([a] | ([b] & [c]))");
        assert_eq!(structure("[a] and [b] and [c] or [d]"), "([a] & (([b] & [c]) | [d]))");
        assert_eq!(structure("[a] and [b] and [c] and [d] or [e]"), "([a] & ([b] & (([c] & [d]) | [e])))");
        assert_eq!(structure("([a] xor [b]) and ([c] nand [d])"), "(([a] ^ [b]) & !([c] & [d]))");
        assert!(structure("[a] xor [b] nand [c]").contains("#eXor("));
        assert!(structure("[a] and [b] nand [c]").contains("#eNand("));
    }

    #[test]
    fn lists_in_comparisons() {
        assert_eq!(structure(r#"[a] in ["x"]"#), r#"[a] in ["x"]"#);
        assert_eq!(structure(r#"[a] in ["x", 5]"#), r#"[a] in ["x", 5]"#);
        assert_eq!(structure(r#"[a] == ["x", "y"]"#), r#"[a] Equal "x""#);
        assert!(structure(r#"["x", "y"] == [a]"#).contains("undefined method 'call'"));
        assert!(
            structure("[] == 'x'")
                .contains("instance of Java::OrgLogstashConfigIrExpression::ValueExpression")
        );
        assert_eq!(
            structure("[a] == /x/"),
            "Failed to parse right-hand side of conditional [file]a.conf:1:13:```\n[a] == /x/\n```"
        );
    }

    #[test]
    fn matches_and_negations() {
        assert_eq!(structure(r"[a] !~ /^\/var/"), r"![a] ~ ^\/var");
        assert_eq!(structure("[a] =~ '${X}'"), "[a] ~ ${X}");
        assert_eq!(structure("'x' not in [a][b]"), "!\"x\" in [a][b]");
        assert_eq!(structure("![a]"), "![a]");
        assert_eq!(structure("5"), "5");
        assert_eq!(structure("foo([a])"), "conditions have no functions");
        assert_eq!(structure("5 =~ /a/"), "the left side of =~ and !~ is a field or a string");
    }
}
