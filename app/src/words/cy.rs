//! Welsh.

use unidler::progress::{Reason, Step};

use super::{Explanation, Named, Words};

pub(super) const WORDS: Words = Words {
    asleep: Named {
        plain: "Mae'r ap hwn yn cysgu",
        named: "Mae {} yn cysgu",
    },
    asleep_lead: "Cafodd ei roi i gysgu er mwyn arbed adnoddau. Mae ei ddeffro yn cymryd ychydig o amser.",
    waking: Named {
        plain: "Yn deffro'r ap",
        named: "Yn deffro {}",
    },
    waking_lead: "Cafodd ei roi i gysgu er mwyn arbed adnoddau. Nid oes angen i chi wneud dim: bydd yr ap yn agor yma cyn gynted ag y bydd yn barod.",
    ready: Named {
        plain: "Bron yno",
        named: "Bron yno",
    },
    ready_lead: "Mae'r ap yn rhedeg. Yn aros iddo ymateb.",
    already_awake_lead: "Mae'r ap yn rhedeg yn barod. Yn aros iddo ymateb.",
    not_reachable_lead: "Mae'r ap yn rhedeg, ond mae ei gyfeiriad yn dal i ddod â chi yma. Gall hyn gymryd munud arall. Bydd y dudalen hon yn dal i geisio.",
    held_lead: "Daeth pob ymgais i agor yr ap â chi yn ôl yma. Arhoswch funud, yna agorwch ef eich hun.",
    stayed_lead: "Dylai'r ap fod ar agor erbyn hyn. Os nad yw, agorwch ef eich hun.",
    failed: Named {
        plain: "Ni all yr ap gychwyn",
        named: "Ni all {} gychwyn",
    },
    not_found: Named {
        plain: "Ni allwn ddod o hyd i'r ap hwn",
        named: "Ni allwn ddod o hyd i'r ap hwn",
    },
    reconnecting: "Collwyd y cysylltiad. Yn ailgysylltu…",
    crowded: "Mae gormod o bobl yn aros yma ar hyn o bryd. Byddwn yn ceisio eto mewn ychydig eiliadau.",
    refused: "Gwrthodwyd y cais i gychwyn yr ap. Ceisiwch eto, neu ail-lwythwch y dudalen hon.",
    lost_post: "Ni chyrhaeddodd yr hyn a anfonoch, gan fod yr ap yn cysgu. Anfonwch ef eto pan fydd yr ap yn barod.",
    resend: "Ei anfon eto",
    steps: "Cynnydd",
    bar: "Cynnydd y deffro",
    start: "Deffro'r ap",
    wakes: "Bydd yr ap yn deffro ohono'i hun ar {}.",
    retry: "Ceisio eto",
    check: "Gwirio eto",
    open: "Agor yr ap",
    reference: "Cyfeirnod",
    host: "Cyfeiriad",
    time: "Amser",
    copy: "Copïo'r manylion hyn",
    copied: "Wedi'u copïo",
    tell: "Rhoi gwybod i mi pan fydd yn barod",
    will_tell: "Byddwn yn rhoi gwybod i chi pan fydd yn barod",
    up: Named {
        plain: "Mae'r ap yn barod",
        named: "Mae {} yn barod",
    },
    step,
    reason,
    duration,
    restarts,
    parts,
    usually,
    longer,
};

fn step(step: Step) -> &'static str {
    match step {
        Step::Finding => "Dod o hyd i'r ap",
        Step::Restoring => "Ei droi yn ôl ymlaen",
        Step::Scheduling => "Dod o hyd i weinydd i'w redeg arno",
        Step::Pulling => "Ei lawrlwytho",
        Step::Starting => "Ei gychwyn",
        Step::Checking => "Gwirio ei fod yn barod",
        Step::Connecting => "Ei gysylltu â'i gyfeiriad",
        Step::Opening => "Agor yr ap",
    }
}

const SETUP: &str = "Ni fydd aros yn helpu. Mae angen i'r tîm sy'n rhedeg yr ap drwsio hyn.";
const UNLIKELY: &str = "Mae'n annhebygol y bydd aros yn helpu. Cysylltwch â'r tîm sy'n rhedeg yr ap. Bydd y dudalen hon yn parhau'n awtomatig unwaith y bydd y broblem wedi'i datrys.";

fn reason(reason: Reason) -> Explanation {
    let (what, advice) = match reason {
        Reason::NoRoute => (
            "Nid oes ap yn y cyfeiriad hwn.",
            "Gwiriwch y cyfeiriad am gamgymeriadau teipio. Os yw'n gywir, cysylltwch â'r sawl a'i rhoddodd i chi.",
        ),
        Reason::HostNotServed => (
            "Mae ap â'r enw hwn, ond nid yn y cyfeiriad hwn.",
            "Gwiriwch y cyfeiriad am gamgymeriadau teipio. Os yw'n gywir, cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::AmbiguousRoute => (
            "Mae mwy nag un ap wedi'i osod ar gyfer y cyfeiriad hwn.",
            SETUP,
        ),
        Reason::NoWorkload => (
            "Nid yw'r ap yn y cyfeiriad hwn yn bodoli mwyach.",
            "Efallai ei fod wedi'i dynnu. Cysylltwch â'r tîm a oedd yn ei redeg.",
        ),
        Reason::AmbiguousWorkload => (
            "Ni allwn ddweud pa ap sy'n perthyn i'r cyfeiriad hwn.",
            SETUP,
        ),
        Reason::NoService => (
            "Ni ellir cysylltu'r ap â'r cyfeiriad hwn.",
            "Mae rhan o'i osodiad ar goll. Cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::AmbiguousService => (
            "Ni allwn ddweud sut i gysylltu'r ap â'r cyfeiriad hwn.",
            SETUP,
        ),
        Reason::ServiceElsewhere => (
            "Mae'r cyfeiriad hwn bellach yn pwyntio at rywle arall.",
            "Ni fydd aros yn helpu. Cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::ServiceUnknown => (
            "Nid oes cofnod o sut y cysylltwyd y cyfeiriad hwn â'r ap.",
            "Ni fydd aros yn helpu. Cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::SwitchedOff => (
            "Mae'r ap hwn wedi'i ddiffodd.",
            "Cafodd ei ddiffodd yn fwriadol, nid ei roi i gysgu. Gofynnwch i'r tîm sy'n ei redeg pryd y bydd yn ôl.",
        ),
        Reason::ScaledDown => (
            "Mae rhywbeth yn diffodd yr ap o hyd cyn gynted ag yr ydym yn ei droi ymlaen.",
            "Mae'n annhebygol y bydd ceisio eto yn helpu. Cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::NotByVisitors => (
            "Ni all ymwelwyr ei ddeffro.",
            "Gofynnwch i'r tîm sy'n ei redeg pryd y bydd yn ôl.",
        ),
        Reason::ImageUnavailable => ("Ni ellir lawrlwytho'r ap.", UNLIKELY),
        Reason::CrashLoop => ("Mae'r ap yn stopio o hyd yn syth ar ôl cychwyn.", UNLIKELY),
        Reason::OutOfMemory => ("Mae'r ap yn rhedeg allan o gof o hyd.", UNLIKELY),
        Reason::CannotRun => ("Mae'r ap wedi'i osod mewn ffordd na all redeg.", UNLIKELY),
        Reason::BadConfiguration => ("Mae gosodiad sydd ei angen ar yr ap ar goll.", UNLIKELY),
        Reason::ManyStarting => (
            "Mae llawer o apiau'n cychwyn ar hyn o bryd.",
            "Nid oes angen i chi wneud dim: bydd yr ap hwn yn cychwyn cyn gynted ag y bydd lle.",
        ),
        Reason::NoRoom => (
            "Nid oes gweinydd â digon o le i redeg yr ap ar hyn o bryd.",
            "Mae aros yn aml yn helpu: gall lle ddod ar gael o fewn ychydig funudau.",
        ),
        Reason::NoServer => (
            "Nid oes gweinydd ar gael a all redeg yr ap.",
            "Mae aros yn aml yn helpu: gall gweinydd addas ddod ar gael o fewn ychydig funudau.",
        ),
        Reason::VolumePending => (
            "Nid yw storfa'r ap yn barod eto.",
            "Mae aros yn aml yn helpu. Os yw'n cymryd mwy nag ychydig funudau, cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::SandboxPending => (
            "Mae'r gweinydd yn dal i gysylltu storfa neu rwydwaith yr ap.",
            "Mae aros yn aml yn helpu. Os yw'n cymryd mwy nag ychydig funudau, cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::HeldBack => (
            "Mae'r ap yn cael ei ddal yn ôl yn fwriadol.",
            "Bydd yn cychwyn cyn gynted ag y caiff ei ryddhau. Gofynnwch i'r tîm sy'n ei redeg pryd y bydd hynny.",
        ),
        Reason::PlatformNotReady => (
            "Ni all y platfform gychwyn yr ap ar hyn o bryd.",
            "Mae hyn fel arfer yn pasio o fewn ychydig funudau. Bydd y dudalen hon yn parhau'n awtomatig.",
        ),
        Reason::PodsRefused => (
            "Ni chaniateir i'r ap gychwyn: cyrhaeddwyd terfyn.",
            UNLIKELY,
        ),
        Reason::PolicyRefused => (
            "Ni chaniateir i'r ap gychwyn: mae'n torri un o reolau'r platfform.",
            UNLIKELY,
        ),
        Reason::NotPassingChecks => (
            "Mae'r ap yn rhedeg, ond nid yw'n barod eto.",
            "Mae aros yn aml yn helpu: mae angen amser ar rai apiau i gynhesu.",
        ),
        Reason::RolloutStuck => (
            "Mae'r ap yn cymryd gormod o amser i gychwyn.",
            "Mae wedi cael cymaint o amser ag y dylai fod ei angen. Cysylltwch â'r tîm sy'n rhedeg yr ap. Bydd y dudalen hon yn parhau'n awtomatig unwaith y bydd y broblem wedi'i datrys.",
        ),
        Reason::PermissionMissing => ("Nid oes gennym ganiatâd i gychwyn yr ap hwn.", UNLIKELY),
        Reason::ApiUnreachable => (
            "Nid yw'r platfform sy'n rhedeg yr ap yn ymateb.",
            "Rydym yn dal i geisio. Bydd y dudalen hon yn parhau'n awtomatig.",
        ),
        Reason::DeadlinePassed => (
            "Cymerodd yr ap ormod o amser i gychwyn.",
            "Gallwch geisio eto. Os nad yw hynny'n helpu, cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
        Reason::Internal => (
            "Aeth rhywbeth o'i le ar ein hochr ni.",
            "Ceisiwch eto. Os nad yw hynny'n helpu, cysylltwch â'r tîm sy'n rhedeg yr ap.",
        ),
    };
    Explanation { what, advice }
}

fn duration(seconds: u64) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("{seconds} eiliad"),
        (minutes, 0) => format!("{minutes} munud"),
        (minutes, seconds) => format!("{minutes} munud {seconds} eiliad"),
    }
}

fn restarts(count: u32) -> String {
    match count {
        1 => "Mae wedi ailgychwyn unwaith hyd yma.".to_owned(),
        count => format!("Mae wedi ailgychwyn {count} gwaith hyd yma."),
    }
}

fn parts(up: u32, of: u32) -> String {
    format!("Mae {up} o {of} rhan yn rhedeg.")
}

fn usually(seconds: u64) -> String {
    format!("Mae hyn fel arfer yn cymryd tua {}.", duration(seconds))
}

fn longer(step: Step) -> &'static str {
    match step {
        Step::Finding | Step::Restoring => {
            "Mae hyn yn cymryd mwy o amser nag arfer: mae'r ap yn dal i gael ei droi ymlaen."
        }
        Step::Scheduling => {
            "Mae hyn yn cymryd mwy o amser nag arfer: nid oes gweinydd i'w redeg arno eto."
        }
        Step::Pulling => "Mae hyn yn cymryd mwy o amser nag arfer: mae'n dal i lawrlwytho.",
        Step::Starting => "Mae hyn yn cymryd mwy o amser nag arfer: mae'n dal i gychwyn.",
        Step::Checking => {
            "Mae hyn yn cymryd mwy o amser nag arfer: mae'n rhedeg, ond nid yw'n barod eto."
        }
        Step::Connecting | Step::Opening => {
            "Mae hyn yn cymryd mwy o amser nag arfer: nid yw wedi'i gysylltu â'i gyfeiriad eto."
        }
    }
}
