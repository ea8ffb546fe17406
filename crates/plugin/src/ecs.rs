//! ECS compatibility: which names a plugin gives to the fields it makes.

/// The value of `ecs_compatibility`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ecs {
    /// Logstash's names from before ECS.
    Disabled,
    /// ECS 1.x.
    V1,
    /// ECS 8.x.
    #[default]
    V8,
}

impl Ecs {
    /// Reads `disabled`, `v1` or `v8`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Ecs> {
        match text {
            "disabled" => Some(Ecs::Disabled),
            "v1" => Some(Ecs::V1),
            "v8" => Some(Ecs::V8),
            _ => None,
        }
    }

    /// Whether ECS names are used.
    pub fn is_on(self) -> bool {
        self != Ecs::Disabled
    }

    /// `legacy` without ECS, `ecs` with it.
    pub fn pick<T>(self, legacy: T, ecs: T) -> T {
        if self.is_on() { ecs } else { legacy }
    }

    /// The option's text.
    pub fn as_str(self) -> &'static str {
        match self {
            Ecs::Disabled => "disabled",
            Ecs::V1 => "v1",
            Ecs::V8 => "v8",
        }
    }
}
