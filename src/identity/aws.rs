//! How AWS writes the names that identity is read from.

use crate::model::Principal;

/// `inScopeOf.issuerType` of credentials that EC2 delivered to an instance.
pub(super) const EC2_INSTANCE: &str = "AWS::EC2::Instance";

/// AWS's own role for the work of EBS and KMS at boot; its sessions are named
/// like instances. No customer can name a role so: `:` is not allowed.
pub(super) const EC2_INFRASTRUCTURE: &str = "aws:ec2-infrastructure";

/// An empty text says as little as an absent one.
pub(super) fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Whether the text is `i-` and 8 to 17 hexadecimal digits.
pub(super) fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|id| {
        (8..=17).contains(&id.len()) && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// The account of an ARN: its fifth part.
pub(super) fn account_of_arn(arn: &str) -> Option<&str> {
    filled(arn.split(':').nth(4))
}

/// The principal's own account.
pub(super) fn account_of(principal: &Principal) -> Option<&str> {
    filled(principal.account_id.as_deref())
        .or_else(|| principal.arn.as_deref().and_then(account_of_arn))
}

/// The instance that `inScopeOf` names as the holder of the credentials.
pub(super) fn instance_in_scope(principal: &Principal) -> Option<&str> {
    let resource = principal
        .in_scope_issued_to
        .as_deref()?
        .splitn(6, ':')
        .nth(5)?;
    resource
        .strip_prefix("instance/")
        .filter(|id| is_instance_id(id))
}

/// Whether the credentials are in scope of an EC2 instance.
pub(super) fn is_in_scope_of_instance(principal: &Principal) -> bool {
    principal.in_scope_issuer_type.as_deref() == Some(EC2_INSTANCE)
}

/// The instance that a role session is named after; a name is the word of
/// whoever called `AssumeRole`.
pub(super) fn instance_by_name(principal: &Principal) -> Option<&str> {
    principal
        .session_name
        .as_deref()
        .filter(|name| is_role_session(principal) && is_instance_id(name))
}

pub(super) fn is_role_session(principal: &Principal) -> bool {
    principal.identity_type.as_deref() == Some("AssumedRole")
}

/// Whether EC2 itself made the call, to deliver a role to an instance.
pub(super) fn is_ec2_service(principal: &Principal) -> bool {
    matches!(
        principal.invoked_by.as_deref(),
        Some("ec2.amazonaws.com" | "ec2.amazonaws.com.cn")
    )
}

/// Whether the role is [`EC2_INFRASTRUCTURE`].
pub(super) fn is_ec2_infrastructure(principal: &Principal) -> bool {
    let role = |arn: &Option<String>, kind: &str| {
        // Its name has a colon, which the resources of few ARNs have: asked of each access.
        let arn = arn.as_deref();
        let arn = arn.filter(|arn| arn.bytes().filter(|byte| *byte == b':').count() > 5);
        let resource = arn.and_then(|arn| arn.splitn(6, ':').nth(5));
        resource
            .and_then(|resource| resource.strip_prefix(kind))
            .is_some_and(|path| path.split('/').any(|part| part == EC2_INFRASTRUCTURE))
    };
    role(&principal.session_issuer_arn, "role/") || role(&principal.arn, "assumed-role/")
}

/// Whether the record says that nobody signed.
pub(super) fn is_anonymous(principal: &Principal) -> bool {
    let says = |text: &Option<String>| {
        text.as_deref().is_some_and(|text| {
            text.eq_ignore_ascii_case("anonymous")
                || text.eq_ignore_ascii_case("ANONYMOUS_PRINCIPAL")
        })
    };
    matches!(
        principal.identity_type.as_deref(),
        None | Some("AWSAccount" | "Unknown")
    ) && filled(principal.access_key_id.as_deref()).is_none()
        && (says(&principal.account_id) || says(&principal.principal_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_id_has_eight_to_seventeen_small_hex_digits() {
        for (text, expect) in [
            ("i-0a1b2c3d", true),
            ("i-0c1a23fc456b7ab89", true),
            ("i-0a1b2c3", false),
            ("i-0c1a23fc456b7ab890", false),
            ("i-0A1B2C3D", false),
            ("i-0a1b2c3g", false),
            ("x-0a1b2c3d", false),
            ("i-0a1b2c3d/..", false),
        ] {
            assert_eq!(is_instance_id(text), expect, "{text}");
        }
    }

    #[test]
    fn a_role_that_only_sounds_like_ec2_infrastructure_is_another() {
        let role = |arn: &str| Principal {
            session_issuer_arn: Some(arn.to_owned()),
            ..Principal::default()
        };
        let real = role("arn:aws:iam::111122223333:role/aws:ec2-infrastructure");
        let other = role("arn:aws:iam::111122223333:role/ec2-infrastructure");
        assert!(is_ec2_infrastructure(&real));
        assert!(!is_ec2_infrastructure(&other));
    }
}
