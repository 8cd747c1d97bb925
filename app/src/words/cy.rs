//! Welsh.

use unidler::progress::{Reason, Step};

use super::{Explanation, Words};

pub(super) const WORDS: Words = Words {
    asleep: "Mae'r ap hwn yn cysgu",
    asleep_lead: "Nid oes neb wedi ei ddefnyddio ers tro, felly cafodd ei roi i gysgu. Mae ei ddeffro yn cymryd ychydig o amser.",
    waking: "Yn deffro'r ap",
    waking_lead: "Nid oes neb wedi ei ddefnyddio ers tro, felly cafodd ei roi i gysgu. Nid oes angen i chi wneud dim: bydd y dudalen hon yn ei agor cyn gynted ag y bydd yn barod.",
    ready: "Bron yno",
    ready_lead: "Mae'r ap ar waith. Mae eich porwr yn aros iddo ateb.",
    already_awake_lead: "Mae'r ap yn effro yn barod. Mae eich porwr yn aros iddo ateb.",
    not_reachable_lead: "Mae'r ap ar waith, ond mae ei gyfeiriad yn dal i arwain yma. Gall hynny gymryd munud arall; mae'r dudalen hon yn dal i geisio.",
    failed: "Ni all yr ap gychwyn",
    reconnecting: "Collwyd y cysylltiad. Yn ailgysylltu…",
    steps: "Cynnydd",
    bar: "Yn deffro",
    start: "Ei ddeffro",
    retry: "Ceisio eto",
    open: "Agor yr ap",
    reference: "Cyfeirnod",
    host: "Cyfeiriad",
    time: "Amser",
    copy: "Copïo'r manylion hyn",
    copied: "Wedi'u copïo",
    tell: "Rhoi gwybod i mi pan fydd ar waith",
    will_tell: "Cewch wybod pan fydd ar waith",
    up: "Mae'r ap ar waith",
    step,
    reason,
    duration,
    restarts,
    usually,
    longer,
};

fn step(step: Step) -> &'static str {
    match step {
        Step::Finding => "Dod o hyd i'r ap",
        Step::Restoring => "Ei droi ymlaen eto",
        Step::Scheduling => "Dod o hyd i le i'w redeg",
        Step::Pulling => "Nôl ei ffeiliau",
        Step::Starting => "Cychwyn",
        Step::Checking => "Pasio ei wiriadau",
        Step::Connecting => "Cysylltu ei gyfeiriad",
        Step::Opening => "Agor",
    }
}

fn reason(reason: Reason) -> Explanation {
    let (what, advice) = match reason {
        Reason::NoIngress => (
            "Nid oes ap yn y cyfeiriad hwn.",
            "Gwiriwch y cyfeiriad am wall teipio. Os yw'n gywir, dywedwch wrth bwy bynnag a'i rhoddodd i chi.",
        ),
        Reason::HostNotServed => (
            "Mae ap o'r enw hwn, ond nid yw'n ateb yn y cyfeiriad hwn.",
            "Gwiriwch y cyfeiriad am wall teipio. Os yw'n gywir, dywedwch wrth y tîm sy'n rhedeg yr ap.",
        ),
        Reason::AmbiguousIngress => {
            ("Mae mwy nag un ap yn hawlio'r cyfeiriad hwn.", "Nid yw aros yn helpu. Rhaid i'r tîm sy'n rhedeg yr ap ddatrys hyn.")
        }
        Reason::NoDeployment => {
            ("Mae'r ap y tu ôl i'r cyfeiriad hwn wedi mynd.", "Efallai ei fod wedi'i dynnu. Bydd y tîm sy'n ei redeg yn gwybod.")
        }
        Reason::AmbiguousDeployment => (
            "Nid yw'n glir pa raglen sy'n perthyn i'r cyfeiriad hwn.",
            "Nid yw aros yn helpu. Rhaid i'r tîm sy'n rhedeg yr ap ddatrys hyn.",
        ),
        Reason::NoService => (
            "Ni ellir cysylltu'r ap y tu ôl i'r cyfeiriad hwn.",
            "Mae rhan o'i osodiad ar goll. Dywedwch wrth y tîm sy'n ei redeg.",
        ),
        Reason::AmbiguousService => (
            "Nid yw'n glir sut i gysylltu'r ap y tu ôl i'r cyfeiriad hwn.",
            "Nid yw aros yn helpu. Rhaid i'r tîm sy'n rhedeg yr ap ddatrys hyn.",
        ),
        Reason::ServiceElsewhere => (
            "Mae'r cyfeiriad hwn wedi'i bwyntio at rywbeth arall.",
            "Nid yw aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap.",
        ),
        Reason::ServiceUnknown => (
            "Nid yw'n hysbys bellach sut y cysylltwyd y cyfeiriad hwn â'r ap.",
            "Nid yw aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap.",
        ),
        Reason::SwitchedOff => (
            "Cafodd yr ap hwn ei ddiffodd, nid dim ond ei roi i gysgu.",
            "Gwnaeth rhywun hynny yn fwriadol. Gofynnwch i'r tîm sy'n rhedeg yr ap pryd y bydd yn ôl.",
        ),
        Reason::ScaledDown => (
            "Mae rhywbeth yn diffodd yr ap cyn gynted ag yr ydym yn ei droi ymlaen.",
            "Anaml y mae ceisio eto yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap.",
        ),
        Reason::ImageUnavailable => (
            "Ni ellir nôl ffeiliau'r ap.",
            "Anaml y mae aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::CrashLoop => (
            "Mae'r ap yn cychwyn, ond yn stopio eto ar unwaith.",
            "Anaml y mae aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::BadConfiguration => (
            "Mae gosodiad sydd ei angen ar yr ap ar goll.",
            "Nid yw aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::NoRoom => (
            "Nid oes lle rhydd i'w redeg ar hyn o bryd.",
            "Mae aros yn aml yn helpu: gall lle ddod yn rhydd, neu gael ei ychwanegu, o fewn ychydig funudau.",
        ),
        Reason::VolumePending => (
            "Nid yw storfa'r ap yno eto.",
            "Mae aros yn aml yn helpu. Os yw'n cymryd mwy nag ychydig funudau, dywedwch wrth y tîm sy'n rhedeg yr ap.",
        ),
        Reason::PodsRefused => (
            "Ni chaniateir i'r ap gychwyn: cyrhaeddwyd terfyn.",
            "Anaml y mae aros yn helpu. Dywedwch wrth y tîm sy'n rhedeg yr ap; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::NotPassingChecks => (
            "Mae'r ap yn rhedeg, ond nid yw'n dweud eto ei fod yn barod.",
            "Mae aros yn aml yn helpu: mae angen amser ar rai apiau i gynhesu.",
        ),
        Reason::RolloutStuck => (
            "Nid yw'r ap yn symud ymlaen.",
            "Cafodd yr amser y dylai fod ei angen. Dywedwch wrth y tîm sy'n ei redeg; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::PermissionMissing => (
            "Nid oes gennym ganiatâd i gychwyn yr ap hwn.",
            "Nid yw aros yn helpu. Dywedwch wrth y tîm sy'n ei redeg; bydd y dudalen hon yn mynd ymlaen ohoni'i hun pan fydd wedi'i drwsio.",
        ),
        Reason::ApiUnreachable => (
            "Nid yw'r platfform sy'n rhedeg yr ap yn ateb ar hyn o bryd.",
            "Rydym yn dal i geisio, ac mae'r dudalen hon yn mynd ymlaen ohoni'i hun.",
        ),
        Reason::DeadlinePassed => {
            ("Cymerodd ormod o amser.", "Gallwch geisio eto. Os nad yw hynny'n helpu, dywedwch wrth y tîm sy'n rhedeg yr ap.")
        }
        Reason::Internal => (
            "Torrodd rhywbeth ar ochr y dudalen hon.",
            "Ceisiwch eto. Os nad yw hynny'n helpu, dywedwch wrth y tîm sy'n rhedeg yr ap.",
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
        1 => "Cafodd ei gychwyn eto unwaith hyd yma.".to_owned(),
        count => format!("Cafodd ei gychwyn eto {count} gwaith hyd yma."),
    }
}

fn usually(seconds: u64) -> String {
    format!("Fel arfer tua {}.", duration(seconds))
}

fn longer(step: Step) -> &'static str {
    match step {
        Step::Finding | Step::Restoring => "Mae hyn yn cymryd mwy o amser nag arfer: mae'r ap yn dal i gael ei droi ymlaen.",
        Step::Scheduling => "Mae hyn yn cymryd mwy o amser nag arfer: nid oes lle i'w redeg eto.",
        Step::Pulling => "Mae hyn yn cymryd mwy o amser nag arfer: mae ei ffeiliau'n dal i gael eu nôl.",
        Step::Starting => "Mae hyn yn cymryd mwy o amser nag arfer: mae'n dal i gychwyn.",
        Step::Checking => "Mae hyn yn cymryd mwy o amser nag arfer: mae'n rhedeg, ond nid yw'n pasio ei wiriadau eto.",
        Step::Connecting | Step::Opening => "Mae hyn yn cymryd mwy o amser nag arfer: nid yw ei gyfeiriad yn arwain ato eto.",
    }
}
