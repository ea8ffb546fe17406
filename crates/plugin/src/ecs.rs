//! ECS compatibility: which names a plugin gives to the fields it makes.

use ferrostash_conf::EcsCompatibility;

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
    /// The mode of an option; `None` for versions that no plugin knows.
    pub fn of(option: EcsCompatibility) -> Option<Ecs> {
        match option {
            EcsCompatibility::Disabled => Some(Ecs::Disabled),
            EcsCompatibility::Version(1) => Some(Ecs::V1),
            EcsCompatibility::Version(8) => Some(Ecs::V8),
            EcsCompatibility::Version(_) => None,
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
