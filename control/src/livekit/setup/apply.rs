//! One step, done.

use livekit_api::services::ServiceError;
use livekit_api::services::sip::{
    CreateSIPDispatchRuleOptions, CreateSIPInboundTrunkOptions, CreateSIPOutboundTrunkOptions,
    SIPClient,
};
use livekit_protocol::{
    SipDispatchRuleInfo, SipInboundTrunkInfo, SipOutboundTrunkInfo, SipTransport,
};

use super::object::Object;
use super::plan::{Action, Step};
use super::server::explain;

/// The object's id.
pub(super) async fn apply(sip: &SIPClient, step: &Step) -> Result<String, String> {
    let object = step.object.clone();
    let done = match step.action {
        Action::Keep => Ok(object.id().to_owned()),
        Action::Create => create(sip, object).await,
        Action::Change => replace(sip, object).await,
    };
    done.map_err(|error| explain(&error))
}

async fn create(sip: &SIPClient, object: Object) -> Result<String, ServiceError> {
    match object {
        Object::Inbound(trunk) => create_inbound(sip, trunk).await,
        Object::Outbound(trunk) => create_outbound(sip, trunk).await,
        Object::Rule(rule) => create_rule(sip, *rule).await,
    }
}

async fn replace(sip: &SIPClient, object: Object) -> Result<String, ServiceError> {
    let id = object.id().to_owned();
    match object {
        Object::Inbound(trunk) => {
            sip.update_sip_inbound_trunk_replace(id.clone(), trunk).await?;
        }
        Object::Outbound(trunk) => {
            sip.update_sip_outbound_trunk_replace(id.clone(), trunk).await?;
        }
        Object::Rule(rule) => {
            sip.update_sip_dispatch_rule_replace(id.clone(), *rule).await?;
        }
    }
    Ok(id)
}

async fn create_inbound(
    sip: &SIPClient,
    trunk: SipInboundTrunkInfo,
) -> Result<String, ServiceError> {
    let options = CreateSIPInboundTrunkOptions {
        allowed_addresses: Some(trunk.allowed_addresses),
        auth_username: Some(trunk.auth_username),
        auth_password: Some(trunk.auth_password),
        ..CreateSIPInboundTrunkOptions::default()
    };
    let made = sip.create_sip_inbound_trunk(trunk.name, trunk.numbers, options).await?;
    Ok(made.sip_trunk_id)
}

async fn create_outbound(
    sip: &SIPClient,
    trunk: SipOutboundTrunkInfo,
) -> Result<String, ServiceError> {
    let options = CreateSIPOutboundTrunkOptions {
        transport: SipTransport::try_from(trunk.transport).unwrap_or(SipTransport::Auto),
        auth_username: trunk.auth_username,
        auth_password: trunk.auth_password,
        ..CreateSIPOutboundTrunkOptions::default()
    };
    let made =
        sip.create_sip_outbound_trunk(trunk.name, trunk.address, trunk.numbers, options).await?;
    Ok(made.sip_trunk_id)
}

async fn create_rule(sip: &SIPClient, info: SipDispatchRuleInfo) -> Result<String, ServiceError> {
    let options = CreateSIPDispatchRuleOptions {
        name: info.name,
        metadata: info.metadata,
        trunk_ids: info.trunk_ids,
        room_config: info.room_config,
        ..CreateSIPDispatchRuleOptions::default()
    };
    let rule = info.rule.and_then(|rule| rule.rule);
    // Plans give every rule its kind.
    let Some(rule) = rule else { return Ok(String::new()) };
    Ok(sip.create_sip_dispatch_rule(rule, options).await?.sip_dispatch_rule_id)
}
