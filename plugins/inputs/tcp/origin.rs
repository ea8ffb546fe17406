//! Where events came from, as fields.

use ferrostash_event::{Event, FieldRef, FieldRefError, ValueRef};
use ferrostash_net::listener::Peer;
use ferrostash_plugin::Ecs;
use std::net::IpAddr;
use std::sync::Arc;

/// The names of the fields.
pub(super) struct Fields {
    name: FieldRef,
    ip: FieldRef,
    port: FieldRef,
    proxy_ip: FieldRef,
    proxy_port: FieldRef,
    subject: FieldRef,
}

impl Fields {
    pub(super) fn of(ecs: Ecs) -> Result<Fields, FieldRefError> {
        let field = |legacy, ecs_name| FieldRef::parse(ecs.pick(legacy, ecs_name));
        Ok(Fields {
            name: field("host", "[@metadata][input][tcp][source][name]")?,
            ip: field("[@metadata][ip_address]", "[@metadata][input][tcp][source][ip]")?,
            port: field("port", "[@metadata][input][tcp][source][port]")?,
            proxy_ip: field("proxy_host", "[@metadata][input][tcp][proxy][ip]")?,
            proxy_port: field("proxy_port", "[@metadata][input][tcp][proxy][port]")?,
            subject: field("sslsubject", "[@metadata][input][tcp][tls][client][subject]")?,
        })
    }
}

/// What the events of one connection get.
pub(super) struct Origin {
    fields: Arc<Fields>,
    name: Arc<str>,
    ip: Box<str>,
    port: Port,
    proxy: Option<(Box<str>, Port)>,
    subject: Option<Box<str>>,
}

/// A port; as text when it comes from a PROXY header, as in Logstash.
enum Port {
    Number(u16),
    Text(Box<str>),
}

impl Port {
    fn value(&self) -> ValueRef<'_> {
        match self {
            Port::Number(port) => ValueRef::Int(i64::from(*port)),
            Port::Text(port) => ValueRef::Str(port),
        }
    }
}

impl Origin {
    /// What is known of `peer`, whose host is called `name`.
    pub(super) fn new(peer: &Peer, name: &Arc<str>, fields: &Arc<Fields>) -> Origin {
        let text = |port: u16| Port::Text(port.to_string().into());
        Origin {
            fields: Arc::clone(fields),
            name: Arc::clone(name),
            // A header's address is shown as headers write it.
            ip: if peer.proxy.is_some() { peer.ip.to_string() } else { address_text(peer.ip) }.into(),
            port: if peer.proxy.is_some() { text(peer.port) } else { Port::Number(peer.port) },
            proxy: peer.proxy.map(|proxy| (proxy.ip().to_string().into(), text(proxy.port()))),
            subject: peer.tls.as_ref().and_then(|tls| tls.subject.as_deref()).map(Into::into),
        }
    }
}

impl crate::stream::StreamFields for Origin {
    /// Sets those of the fields that the codec has not.
    fn apply(&self, event: &mut Event) {
        let fields = &*self.fields;
        if let Some((ip, port)) = &self.proxy {
            set(event, &fields.proxy_ip, ValueRef::Str(ip));
            set(event, &fields.proxy_port, port.value());
        }
        set(event, &fields.name, ValueRef::Str(&self.name));
        set(event, &fields.ip, ValueRef::Str(&self.ip));
        set(event, &fields.port, self.port.value());
        if let Some(subject) = &self.subject {
            set(event, &fields.subject, ValueRef::Str(subject));
        }
    }
}

/// Sets a field that is not there, null or false.
fn set(event: &mut Event, field: &FieldRef, value: ValueRef<'_>) {
    if matches!(event.get(field), None | Some(ValueRef::Null | ValueRef::Bool(false))) {
        // Fails only where the codec put something else in the way, which then counts more.
        let _ = event.set_ref(field, value);
    }
}

/// An address as Java writes it: of IPv6 all eight groups.
pub(super) fn address_text(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => ip.segments().map(|group| format!("{group:x}")).join(":"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::StreamFields as _;
    use ferrostash_plugin::testing::{event, json};

    fn applied(ecs: Ecs, peer: &Peer, text: &str) -> String {
        let mut event = event(text);
        let fields = Arc::new(Fields::of(ecs).unwrap());
        Origin::new(peer, &"client.example".into(), &fields).apply(&mut event);
        json(&event)
    }

    fn peer() -> Peer {
        Peer { ip: [192, 0, 2, 7].into(), port: 4711, proxy: None, tls: None }
    }

    #[test]
    fn what_the_codec_set_stays() {
        assert_eq!(
            applied(Ecs::Disabled, &peer(), r#"{"host":"app","port":null}"#),
            r#"{"host":"app","port":4711,"@metadata":{"ip_address":"192.0.2.7"}}"#
        );
        assert_eq!(
            applied(Ecs::Disabled, &peer(), r#"{"host":{"name":"app"},"port":false}"#),
            r#"{"host":{"name":"app"},"port":4711,"@metadata":{"ip_address":"192.0.2.7"}}"#
        );
    }

    #[test]
    fn addresses_are_written_as_by_java() {
        assert_eq!(address_text("2001:db8::1".parse().unwrap()), "2001:db8:0:0:0:0:0:1");
        assert_eq!(address_text("127.0.0.1".parse().unwrap()), "127.0.0.1");
    }

    #[test]
    fn ports_of_a_header_are_text() {
        let peer = Peer { proxy: Some("[2001:db8::1]:5000".parse().unwrap()), ..peer() };
        assert_eq!(
            applied(Ecs::Disabled, &peer, "{}"),
            r#"{"proxy_host":"2001:db8::1","proxy_port":"5000","host":"client.example","port":"4711","@metadata":{"ip_address":"192.0.2.7"}}"#
        );
    }
}
