"""Who logs in, and the way of a login through the browser."""

from __future__ import annotations

from .code import Code
from .problem import ASK_SERVER, START_AGAIN, Row, Who

# Who can mend them, and the code that social-core has for them.
_CLAIM_OF_BITBUCKET = (Who.BITBUCKET_ADMIN, "invalid_claim")
_REFUSAL_OF_PERSON = (Who.PERSON, "authentication_disallowed")

PROBLEMS: dict[Code, Row] = {
    # Who is it?
    Code.IDENTITY_MISSING: Row(
        "Bitbucket did not say who logged in.",
        "Neither the header X-AUSERNAME nor the whoami page named the person: a proxy removes the header from "
        "Bitbucket's answers, or the header Authorization from requests.",
        "Let the headers X-AUSERNAME and Authorization pass through the proxies in front of Bitbucket. The check-up's "
        "stage REST tells whether Authorization arrives.",
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Code.IDENTITY_INVALID: Row(
        "Bitbucket named a person in a way that cannot be used.",
        "The name is ambiguous, or has characters that no user name has.",
        ASK_SERVER,
        *_CLAIM_OF_BITBUCKET,
    ),
    Code.USERS_UNREADABLE: Row(
        "Bitbucket does not let this person read user records, their own among them.",
        "Bitbucket says who logged in. But it refuses to show the record with the number of the account.",
        "Give the person the global permission Bitbucket User. If a plugin closes the user list, let it show people "
        "their own record.",
        Who.BITBUCKET_ADMIN,
        "http_error",
    ),
    Code.IDENTITY_OF_ANOTHER: Row(
        "Bitbucket's answers name two different accounts.",
        "The number of the person who logged in is not that of the record with their name. The record may be another "
        "person's.",
        "Look for a cache or a proxy in front of Bitbucket that mixes up answers to different people. Rename the "
        "account if its name has a percent or plus sign.",
        *_CLAIM_OF_BITBUCKET,
    ),
    Code.USER_NOT_FOUND: Row(
        "Bitbucket's user list does not contain the person who logged in.",
        "No user, or more than one, has the name that Bitbucket gave for the login.",
        "Check that users may read the user list, and rename accounts whose names differ in case only.",
        *_CLAIM_OF_BITBUCKET,
    ),
    Code.PROFILE_INCOMPLETE: Row(
        "Bitbucket's user record lacks a field.",
        "A field is missing without which the account cannot be told apart from others.",
        ASK_SERVER,
        Who.BITBUCKET_ADMIN,
        "missing_claim",
    ),
    Code.PROFILE_INVALID: Row(
        "Bitbucket's user record has a value that cannot be used.",
        "A field is not of the kind that Bitbucket documents.",
        ASK_SERVER,
        *_CLAIM_OF_BITBUCKET,
    ),
    Code.ACCOUNT_NOT_ADMITTED: Row(
        "This Bitbucket account cannot be used to log in.",
        "Bitbucket does not admit it: it is disabled or has no licence.",
        "Ask your Bitbucket admin to enable the account.",
        Who.BITBUCKET_ADMIN,
        "authentication_disallowed",
    ),
    Code.ACCOUNT_INACTIVE: Row(
        "This Bitbucket account is disabled.",
        "Disabled and deleted accounts are not logged in.",
        "Ask your Bitbucket admin to enable the account.",
        Who.BITBUCKET_ADMIN,
        "authentication_disallowed",
    ),
    Code.ACCOUNT_NOT_A_PERSON: Row(
        "This Bitbucket account is not a person's.",
        "Service accounts are not logged in.",
        "Log in to Bitbucket with your own account and begin again.",
        *_REFUSAL_OF_PERSON,
    ),
    Code.ACCOUNT_REPLACED: Row(
        "This Bitbucket account is another one now.",
        "The permission that was granted for one account is used by another one, with another number.",
        "Log in with Bitbucket again.",
        *_REFUSAL_OF_PERSON,
    ),
    # The way of a login through the browser.
    Code.CALLBACK_PARAMETER_MISSING: Row(
        "The way back from Bitbucket is incomplete.",
        "The address that Bitbucket sent the browser to lacks a part that it always has.",
        START_AGAIN,
        Who.PERSON,
        "missing_parameter",
    ),
    Code.CALLBACK_PARAMETER_INVALID: Row(
        "The way back from Bitbucket is damaged.",
        "The address that Bitbucket sent the browser to has a part that it never has.",
        START_AGAIN,
        Who.PERSON,
        "invalid_parameter",
    ),
    Code.LOGIN_NOT_PENDING: Row(
        "This login is not under way in this browser.",
        "It was finished or cancelled before, took longer than ten minutes, or began in another browser, or the "
        "cookies were deleted.",
        START_AGAIN,
        Who.PERSON,
        "session_context_missing",
    ),
    Code.LOGIN_EXPIRED: Row(
        "This login took longer than ten minutes.",
        "For your safety a login that was begun is forgotten after ten minutes.",
        START_AGAIN,
        Who.PERSON,
        "state_mismatch",
    ),
    Code.LOGIN_MIXED_UP: Row(
        "This login belongs to another integration.",
        "The answer came back to the address of another integration than the one the login began with.",
        START_AGAIN,
        Who.PERSON,
        "state_mismatch",
    ),
    Code.INTEGRATION_CHANGED: Row(
        "The integration was changed while this login was under way.",
        "A login is finished with exactly the settings that it began with.",
        START_AGAIN,
        Who.PERSON,
        "state_mismatch",
    ),
    Code.LOGIN_LINK_CLOSED: Row(
        "The login link is closed.",
        "Your organization's admin closed it, so nobody can log in through it. Your account still exists.",
        "Open the login link again in the organization's settings.",
        Who.ORGANIZATION_ADMIN,
        "authentication_disallowed",
    ),
    Code.ANOTHER_WAY_ONLY: Row(
        "Another integration is the only way in.",
        "Your organization's admin chose it. Logins through the others are refused.",
        "Log in through that integration.",
        *_REFUSAL_OF_PERSON,
    ),
    Code.ANOTHER_PERSON: Row(
        "Somebody else is logged in here.",
        "A login never connects a Bitbucket account to the account that happens to be open in the browser.",
        "Log out first, then log in with Bitbucket.",
        Who.PERSON,
        "user_mismatch",
    ),
    Code.PERSON_NOT_ALLOWED: Row(
        "You may not log in here.",
        "Bitbucket says who you are. But only members of certain groups, or people who can see a certain project or "
        "repository, may log in here, and you are not among them.",
        "Add the person to one of the groups in Bitbucket, give them access to the project or repository, or change "
        "who may log in through the integration.",
        Who.ORGANIZATION_ADMIN,
        "authentication_disallowed",
    ),
    Code.PERSON_REFUSED: Row(
        "This application does not let you in.",
        "Bitbucket says who you are. But this application has rules of its own, such as a list of e-mail addresses, "
        "and they leave you out.",
        "Add the person to the list, such as WHITELISTED_EMAILS or WHITELISTED_DOMAINS, or change the step of the "
        "pipeline that refused them.",
        Who.OPERATOR,
        "authentication_disallowed",
    ),
    Code.GROUPS_UNREADABLE: Row(
        "Bitbucket does not say which groups you are in.",
        "Only members of certain groups may log in here, and the server does not let people ask who is a member.",
        "Choose a project or repository that the people can see in place of the groups; everybody may ask for that.",
        Who.ORGANIZATION_ADMIN,
        "invalid_setting",
    ),
    Code.PERSON_INACTIVE: Row(
        "You cannot log in here at the moment.",
        "Bitbucket knows this account, but it is disabled in this application.",
        "Enable the person's account in this application's administration.",
        Who.OPERATOR,
        "authentication_disallowed",
    ),
    Code.PERSON_DISABLED: Row(
        "You cannot log in here at the moment.",
        "Bitbucket knows this account, but it is disabled in this organization.",
        "Enable the person under Settings → People.",
        Who.ORGANIZATION_ADMIN,
        "authentication_disallowed",
    ),
    Code.PERSON_CHANGED: Row(
        "The Bitbucket account was not connected.",
        "It was to be connected to the account of somebody who is not, or no longer, logged in in this browser.",
        "Log in, and connect it again.",
        Who.PERSON,
        "user_mismatch",
    ),
    Code.IDENTITY_IN_USE: Row(
        "This Bitbucket account belongs to somebody else here.",
        "It is another person's way to log in, so it cannot become yours as well.",
        "Log in with this Bitbucket account to get to what belongs to it; to connect it to another account, disconnect "
        "it there first.",
        Who.PERSON,
        "identity_in_use",
    ),
    Code.ALREADY_CONNECTED: Row(
        "You log in through this integration already.",
        "Each person has one Bitbucket account for each integration, and you use another one.",
        "To use this account, disconnect the other one on your account's page, and connect again. If this account is "
        "not yours, log in to Bitbucket as yourself first.",
        Who.PERSON,
        "identity_in_use",
    ),
    Code.EMAIL_IN_USE: Row(
        "Another account here has your e-mail address.",
        "Each e-mail address belongs to one account in this application. Bitbucket does not verify addresses, so yours "
        "does not prove that the other account is yours.",
        "Log in to that account in the way you did before. If it is not yours, ask the operator of this application to "
        "change its address.",
        Who.PERSON,
        "email_in_use",
    ),
    Code.USERNAME_IN_USE: Row(
        "Another person here has just got your user name.",
        "Two people with the same user name logged in for the first time at the same moment.",
        START_AGAIN,
        Who.PERSON,
        "username_in_use",
    ),
    Code.EMAIL_MISSING: Row(
        "Your Bitbucket account has no e-mail address.",
        "Every account in this application has an e-mail address, and Bitbucket gives none for you.",
        "Enter the person's e-mail address in Bitbucket.",
        Who.BITBUCKET_ADMIN,
        "profile_email_missing",
    ),
    Code.EMAIL_UNCONFIRMED: Row(
        "Your e-mail address was not confirmed.",
        "The link in the e-mail was used before, or belongs to another login.",
        START_AGAIN,
        Who.PERSON,
        "email_verification_rejected",
    ),
    Code.ACCOUNT_REFUSED: Row(
        "This application could not make an account for you.",
        "Its database refused the new account, for example because a column must not be empty and Bitbucket gives no "
        "value for it.",
        "Give the column a default, or fill it in a step of the pipeline before create_user. The log names the column "
        "next to the reference number.",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Code.ACCOUNT_CONFLICT: Row(
        "The account that belongs to this login is unclear.",
        "An identity of this person is stored in a form that cannot be compared with the one that Bitbucket gives.",
        "Look the reference number up in the log, and correct the identity in the database.",
        Who.OPERATOR,
        "identifier_migration_conflict",
    ),
    Code.STEP_FAILED: Row(
        "This application failed to finish the login.",
        "Bitbucket says who you are. Then a step of this application's own pipeline failed.",
        "Look the reference number up in the log: it says which step failed, and where.",
        Who.OPERATOR,
        "unknown_error",
    ),
    Code.IDENTITY_SIMILAR: Row(
        "This account differs from another one here in capital letters alone.",
        "Two integrations have namespaces that differ in case, and the database compares accounts without case. It "
        "would take a person of one server for a person of the other.",
        "Give one of the integrations a namespace that differs in more than case, or let the column uid of the "
        "identities compare exactly, such as with the collation utf8mb4_bin.",
        Who.OPERATOR,
        "invalid_setting",
    ),
    Code.FORM_EXPIRED: Row(
        "The login form is too old.",
        "The page was open for a long time, or was opened by another site.",
        START_AGAIN,
        Who.PERSON,
        "invalid_parameter",
    ),
    Code.LOGIN_DECLINED: Row(
        "Access was declined in Bitbucket.",
        "Deny was pressed on Bitbucket's page, so nobody was logged in.",
        "To log in, begin again and press Allow.",
        Who.PERSON,
        "authorization_declined",
    ),
    Code.TOO_OFTEN: Row(
        "It was tried too often.",
        "Nothing was done. A limit protects everybody's logins from those who try them by the thousand.",
        "Wait a while, then go back and try again.",
        *_REFUSAL_OF_PERSON,
    ),
}
