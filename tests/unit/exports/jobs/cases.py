"""Templates, valid and not, by section of the Open Job Description specification 2023-09.

``paths`` are the places of what is wrong, in their order; none for a template that is right. Where openjd-model
decides otherwise, ``differs`` says why: see tests/integration/jobs/test_differential.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SUPPORTED = ("TASK_CHUNKING", "REDACTED_ENV_VARS", "FEATURE_BUNDLE_1")
RUN = {"command": "true"}
SCRIPT = {"actions": {"onRun": RUN}}


class Case(NamedTuple):
    section: str
    name: str
    template: dict[str, Any]
    paths: tuple[str, ...] = ()
    differs: str | None = None
    extensions: tuple[str, ...] = SUPPORTED

    @property
    def id(self) -> str:
        return f"{self.section}-{self.name.replace(' ', '-')}"


def job(**members: Any) -> dict[str, Any]:
    """Return the smallest job template, with ``members``."""
    return {
        "specificationVersion": "jobtemplate-2023-09",
        "name": "Demo",
        "steps": [{"name": "Only", "script": SCRIPT}],
    } | members


def bundle(template: dict[str, Any], *extensions: str) -> dict[str, Any]:
    return template | {"extensions": list(extensions or ("FEATURE_BUNDLE_1",))}


def parameter(kind: str, **members: Any) -> dict[str, Any]:
    return job(parameterDefinitions=[{"name": "P", "type": kind} | members])


def interface(kind: str, hints: dict[str, Any], **members: Any) -> dict[str, Any]:
    return parameter(kind, userInterface=hints, **members)


def step(**members: Any) -> dict[str, Any]:
    return job(steps=[{"name": "Only", "script": SCRIPT} | members])


def action(**members: Any) -> dict[str, Any]:
    return step(script={"actions": {"onRun": RUN | members}})


def files(*embedded: dict[str, Any]) -> dict[str, Any]:
    return step(script={"actions": {"onRun": RUN}, "embeddedFiles": list(embedded)})


def file(**members: Any) -> dict[str, Any]:
    return {"name": "F", "type": "TEXT", "data": "text"} | members


def environment(**members: Any) -> dict[str, Any]:
    return job(jobEnvironments=[{"name": "E"} | members])


def space(*parameters: dict[str, Any], combination: str | None = None) -> dict[str, Any]:
    return step(
        parameterSpace={"taskParameterDefinitions": list(parameters)}
        | ({} if combination is None else {"combination": combination})
    )


def task(name: str = "T", kind: str = "INT", values: Any = "1-3", **members: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "range": values} | members


def chunked(values: Any = "1-10", name: str = "C", **chunks: Any) -> dict[str, Any]:
    return task(
        name, "CHUNK[INT]", values, chunks={"defaultTaskCount": 2, "rangeConstraint": "CONTIGUOUS"} | chunks
    )


def amounts(*wanted: dict[str, Any]) -> dict[str, Any]:
    return step(hostRequirements={"amounts": list(wanted)})


def attributes(*wanted: dict[str, Any]) -> dict[str, Any]:
    return step(hostRequirements={"attributes": list(wanted)})


def amount(name: str = "amount.worker.vcpu", **members: Any) -> dict[str, Any]:
    return {"name": name} | members


def steps(*names: str, **dependencies: list[str]) -> dict[str, Any]:
    return job(
        steps=[
            {"name": name, "script": SCRIPT}
            | (
                {"dependencies": [{"dependsOn": d} for d in found]}
                if (found := dependencies.get(name))
                else {}
            )
            for name in names
        ]
    )


def outer(**members: Any) -> dict[str, Any]:
    """Return the smallest environment template, with ``members``."""
    return {
        "specificationVersion": "environment-2023-09",
        "environment": {"name": "E", "variables": {"A": "1"}},
    } | members


_P = "parameterDefinitions[0]"
_STEP = "steps[0]"
_RUN = "steps[0].script.actions.onRun"
_FILE = "steps[0].script.embeddedFiles[0]"
_ENV = "jobEnvironments[0]"
_SPACE = "steps[0].parameterSpace"
_TASK = "steps[0].parameterSpace.taskParameterDefinitions[0]"
_AMOUNT = "steps[0].hostRequirements.amounts[0]"
_ATTRIBUTE = "steps[0].hostRequirements.attributes[0]"

_NULL = "a key with null is no key: what has to be there is not"
_BOOL = "true is not a number"
_DIGITS = "a string for an integer has digits, as the specification says; not 5.0 or 1_0"
_WIDE = "integers have 64 bits, as the conformance tests of the specification want it"
_EARLY = "what cannot work with any parameters is told by the check, not when the job is made"

FILTER = {"label": "Images", "patterns": ["*.png", "*.*", "*"]}

CASES = (
    # 1.1 Job template
    Case("1.1", "smallest", job()),
    Case("1.1", "schema is ignored", job(**{"$schema": "https://example.org/schema.json"})),
    Case("1.1", "schema that is no string", job(**{"$schema": 5}), ("$schema",)),
    Case("1.1", "unknown key", job(stepz=[]), ("stepz",)),
    Case("1.1", "no version", {"name": "Demo", "steps": []}, ("",)),
    Case(
        "1.1", "unknown version", job(specificationVersion="jobtemplate-2042-01"), ("specificationVersion",)
    ),
    Case("1.1", "no steps", job(steps=[]), ("steps",)),
    Case("1.1", "steps is a mapping", job(steps={}), ("steps",)),
    Case("1.1", "null steps", job(steps=None), ("steps",)),
    Case("1.1", "missing name and steps", {"specificationVersion": "jobtemplate-2023-09"}, ("", "")),
    Case("1.1", "empty description", job(description=""), ("description",)),
    Case("1.1", "null description", job(description=None)),
    Case(
        "1.1",
        "fifty parameters",
        job(parameterDefinitions=[{"name": f"P{n}", "type": "INT"} for n in range(50)]),
    ),
    Case(
        "1.1",
        "fifty-one parameters",
        job(parameterDefinitions=[{"name": f"P{n}", "type": "INT"} for n in range(51)]),
        ("parameterDefinitions",),
    ),
    Case(
        "1.1",
        "two hundred with the bundle",
        bundle(job(parameterDefinitions=[{"name": f"P{n}", "type": "INT"} for n in range(200)])),
    ),
    Case(
        "1.1",
        "two hundred and one",
        bundle(job(parameterDefinitions=[{"name": f"P{n}", "type": "INT"} for n in range(201)])),
        ("parameterDefinitions",),
    ),
    Case("1.1", "no parameters", job(parameterDefinitions=[]), ("parameterDefinitions",)),
    Case(
        "1.1",
        "environment of a step named like one of the job",
        job(
            jobEnvironments=[{"name": "E", "variables": {"A": "1"}}],
            steps=[
                {
                    "name": "Only",
                    "script": SCRIPT,
                    "stepEnvironments": [{"name": "E", "variables": {"A": "1"}}],
                }
            ],
        ),
        ("steps[0].stepEnvironments[0].name",),
    ),
    # 1.1.1 JobName
    Case("1.1.1", "longest", job(name="n" * 128)),
    Case("1.1.1", "too long", job(name="n" * 129), ("name",)),
    Case("1.1.1", "longest with the bundle", bundle(job(name="n" * 512))),
    Case("1.1.1", "too long with the bundle", bundle(job(name="n" * 513)), ("name",)),
    Case(
        "1.1.1",
        "long only before it is resolved",
        parameter("STRING") | {"name": "{{" + " " * 150 + "Param.P}}"},
    ),
    Case("1.1.1", "control character", job(name="a\x07b"), ("name",)),
    Case("1.1.1", "empty", job(name=""), ("name",)),
    Case("1.1.1", "a path is not known yet", parameter("PATH") | {"name": "{{Param.P}}"}, ("name",)),
    Case("1.1.1", "a path as given", parameter("PATH") | {"name": "{{RawParam.P}}"}),
    # 1.1.2 Extensions
    Case("1.1.2", "all", bundle(job(), *SUPPORTED)),
    Case("1.1.2", "none", job(extensions=[]), ("extensions",)),
    Case("1.1.2", "null", job(extensions=None)),
    Case("1.1.2", "twice", bundle(job(), "TASK_CHUNKING", "TASK_CHUNKING"), ("extensions[1]",)),
    Case("1.1.2", "unknown", bundle(job(), "TELEPORT"), ("extensions[0]",)),
    Case("1.1.2", "not accepted", bundle(job(), "TASK_CHUNKING"), ("extensions[0]",), extensions=()),
    Case("1.1.2", "not a list", job(extensions="TASK_CHUNKING"), ("extensions",)),
    # 1.2 Environment template
    Case("1.2", "smallest", outer()),
    Case("1.2", "parameters", outer(parameterDefinitions=[{"name": "P", "type": "INT"}])),
    Case("1.2", "no environment", {"specificationVersion": "environment-2023-09"}, ("",)),
    Case("1.2", "steps", outer(steps=[]), ("steps",)),
    Case(
        "1.2",
        "fifty-one parameters whatever the extensions",
        bundle(outer(parameterDefinitions=[{"name": f"P{n}", "type": "INT"} for n in range(51)])),
        ("parameterDefinitions",),
    ),
    Case(
        "1.2",
        "unknown reference",
        outer(environment={"name": "E", "variables": {"A": "{{Param.P}}"}}),
        ("environment.variables.A",),
    ),
    # 2 Job parameters
    Case("2", "unknown type", parameter("NUMBER"), (f"{_P}.type",)),
    Case("2", "lower case type", parameter("int"), (f"{_P}.type",)),
    Case("2", "type of an extension", parameter("BOOL"), (f"{_P}.type",)),
    Case("2", "no type", job(parameterDefinitions=[{"name": "P"}]), (_P,)),
    Case("2", "no name", job(parameterDefinitions=[{"type": "INT"}]), (_P,)),
    Case(
        "2",
        "name twice",
        job(parameterDefinitions=[{"name": "P", "type": "INT"}, {"name": "P", "type": "STRING"}]),
        ("parameterDefinitions[1].name",),
    ),
    Case("2", "constraint of another type", parameter("STRING", minValue=1), (f"{_P}.minValue",)),
    # 2.1 STRING
    Case(
        "2.1",
        "everything",
        parameter("STRING", default="b", allowedValues=["a", "b"], minLength=1, maxLength=1),
    ),
    Case("2.1", "default that is a number", parameter("STRING", default=1), (f"{_P}.default",)),
    Case("2.1", "null default", parameter("STRING", default=None)),
    Case(
        "2.1",
        "null default with a length",
        parameter("STRING", default=None, maxLength=1),
        differs="openjd-model ends with a TypeError",
    ),
    Case(
        "2.1",
        "default that is not allowed",
        parameter("STRING", default="c", allowedValues=["a"]),
        (f"{_P}.default",),
    ),
    Case("2.1", "default too short", parameter("STRING", default="a", minLength=2), (f"{_P}.default",)),
    Case("2.1", "default too long", parameter("STRING", default="abc", maxLength=2), (f"{_P}.default",)),
    Case(
        "2.1",
        "allowed value too long",
        parameter("STRING", allowedValues=["a", "abc"], maxLength=2),
        (f"{_P}.allowedValues[1]",),
    ),
    Case(
        "2.1",
        "default among allowed values one of which is wrong",
        interface("STRING", {"control": "CHECK_BOX"}, default="on", allowedValues=["off", 1]),
        (f"{_P}.allowedValues[1]",),
    ),
    Case("2.1", "no allowed values", parameter("STRING", allowedValues=[]), (f"{_P}.allowedValues",)),
    Case("2.1", "null allowed values", parameter("STRING", allowedValues=None), (f"{_P}.allowedValues",)),
    Case("2.1", "negative length", parameter("STRING", minLength=-1), (f"{_P}.minLength",)),
    Case("2.1", "longest of nothing", parameter("STRING", maxLength=0), (f"{_P}.maxLength",)),
    Case(
        "2.1",
        "lengths the wrong way round",
        parameter("STRING", minLength=3, maxLength=2),
        (f"{_P}.maxLength",),
    ),
    Case("2.1", "length as a string", parameter("STRING", minLength="3"), (f"{_P}.minLength",)),
    Case("2.1", "default of 1024", parameter("STRING", default="x" * 1024)),
    Case("2.1", "default of 1025", parameter("STRING", default="x" * 1025), (f"{_P}.default",)),
    Case("2.1", "check box", interface("STRING", {"control": "CHECK_BOX"}, allowedValues=["Off", "ON"])),
    Case(
        "2.1",
        "check box without a pair",
        interface("STRING", {"control": "CHECK_BOX"}, allowedValues=["on", "no"]),
        (f"{_P}.userInterface.control",),
    ),
    Case(
        "2.1",
        "check box without values",
        interface("STRING", {"control": "CHECK_BOX"}),
        (f"{_P}.userInterface.control",),
    ),
    Case(
        "2.1",
        "line edit of allowed values",
        interface("STRING", {"control": "LINE_EDIT"}, allowedValues=["a"]),
        (f"{_P}.userInterface.control",),
    ),
    Case(
        "2.1",
        "list without values",
        interface("STRING", {"control": "DROPDOWN_LIST"}),
        (f"{_P}.userInterface.control",),
    ),
    Case("2.1", "hidden", interface("STRING", {"control": "HIDDEN", "label": "L", "groupLabel": "G"})),
    Case(
        "2.1",
        "control of another type",
        interface("STRING", {"control": "SPIN_BOX"}),
        (f"{_P}.userInterface.control",),
    ),
    # 2.2 PATH
    Case("2.2", "everything", parameter("PATH", default="a", objectType="FILE", dataFlow="INOUT")),
    Case("2.2", "unknown kind of object", parameter("PATH", objectType="SOCKET"), (f"{_P}.objectType",)),
    Case("2.2", "unknown flow", parameter("PATH", dataFlow="BOTH"), (f"{_P}.dataFlow",)),
    Case(
        "2.2",
        "file filters",
        interface(
            "PATH", {"control": "CHOOSE_INPUT_FILE", "fileFilters": [FILTER], "fileFilterDefault": FILTER}
        ),
    ),
    Case(
        "2.2",
        "file filters of a directory",
        interface("PATH", {"control": "CHOOSE_DIRECTORY", "fileFilters": [FILTER]}),
        (f"{_P}.userInterface.fileFilters",),
    ),
    Case("2.2", "file filters without a control", interface("PATH", {"fileFilters": [FILTER]})),
    Case(
        "2.2",
        "file of a directory",
        interface("PATH", {"control": "CHOOSE_INPUT_FILE"}, objectType="DIRECTORY"),
        (f"{_P}.userInterface.control",),
    ),
    Case(
        "2.2",
        "directory of a file",
        interface("PATH", {"control": "CHOOSE_DIRECTORY"}, objectType="FILE"),
        (f"{_P}.userInterface.control",),
    ),
    # 2.3 INT
    Case("2.3", "everything", parameter("INT", default=2, allowedValues=[1, "2"], minValue="1", maxValue=3)),
    Case("2.3", "string of digits", parameter("INT", default=" -5 ")),
    Case("2.3", "a float", parameter("INT", default=5.0), (f"{_P}.default",)),
    Case("2.3", "a float in a string", parameter("INT", default="5.0"), (f"{_P}.default",), _DIGITS),
    Case("2.3", "an underscore", parameter("INT", default="1_0"), (f"{_P}.default",), _DIGITS),
    Case("2.3", "a boolean", parameter("INT", default=True), (f"{_P}.default",)),
    Case("2.3", "the largest", parameter("INT", default=2**63 - 1)),
    Case("2.3", "too large", parameter("INT", default=2**63), (f"{_P}.default",), _WIDE),
    Case("2.3", "default too small", parameter("INT", default=1, minValue=2), (f"{_P}.default",)),
    Case("2.3", "default too large", parameter("INT", default=3, maxValue=2), (f"{_P}.default",)),
    Case("2.3", "bounds the wrong way round", parameter("INT", minValue=3, maxValue=2), (f"{_P}.maxValue",)),
    Case(
        "2.3",
        "two things at once",
        parameter("INT", default=3, allowedValues=[1, 5], maxValue=2),
        (f"{_P}.allowedValues[1]", f"{_P}.default", f"{_P}.default"),
    ),
    Case("2.3", "spin box", interface("INT", {"control": "SPIN_BOX", "singleStepDelta": 5})),
    Case(
        "2.3",
        "step of nothing",
        interface("INT", {"singleStepDelta": 0}),
        (f"{_P}.userInterface.singleStepDelta",),
    ),
    Case(
        "2.3",
        "step of a hidden one",
        interface("INT", {"control": "HIDDEN", "singleStepDelta": 1}),
        (f"{_P}.userInterface.singleStepDelta",),
    ),
    # 2.4 FLOAT
    Case(
        "2.4",
        "everything",
        parameter("FLOAT", default=1.5, allowedValues=["1.5", 2], minValue=0.5, maxValue="2e1"),
    ),
    Case("2.4", "not a number", parameter("FLOAT", default="nan"), (f"{_P}.default",)),
    Case("2.4", "infinite", parameter("FLOAT", default=float("inf")), (f"{_P}.default",)),
    Case("2.4", "a word", parameter("FLOAT", default="much"), (f"{_P}.default",)),
    Case("2.4", "default too small", parameter("FLOAT", default=0.1, minValue="0.2"), (f"{_P}.default",)),
    Case(
        "2.4",
        "decimals of a list",
        interface("FLOAT", {"decimals": 2}, allowedValues=[1]),
        (f"{_P}.userInterface.decimals",),
    ),
    Case(
        "2.4", "decimals", interface("FLOAT", {"control": "SPIN_BOX", "decimals": 2, "singleStepDelta": 0.5})
    ),
    # 2.6 to 2.8 Labels and filters
    Case("2.6", "longest", interface("INT", {"label": "l" * 64})),
    Case("2.6", "too long", interface("INT", {"groupLabel": "l" * 65}), (f"{_P}.userInterface.groupLabel",)),
    Case("2.6", "two lines", interface("INT", {"label": "a\nb"}), (f"{_P}.userInterface.label",)),
    *(
        Case(
            "2.8",
            f"pattern {number}",
            interface(
                "PATH",
                {"control": "CHOOSE_INPUT_FILE", "fileFilters": [{"label": "L", "patterns": [pattern]}]},
            ),
            (f"{_P}.userInterface.fileFilters[0].patterns[0]",),
        )
        for number, pattern in enumerate(["png", "**", "*.p/g", "*.[a]", "*." + "x" * 19, "", "*.a?"])
    ),
    # 3 Steps
    Case("3", "no script", job(steps=[{"name": "Only"}]), (_STEP,)),
    Case("3", "same names", steps("A", "A"), ("steps[1].name",)),
    Case("3", "unknown key", step(scripts={}), (f"{_STEP}.scripts",)),
    Case("3", "let needs an extension", step(let=["a = 1"]), (f"{_STEP}.let",)),
    Case(
        "3",
        "same environments",
        step(stepEnvironments=[{"name": "E", "variables": {"A": "1"}}] * 2),
        (f"{_STEP}.stepEnvironments[1].name",),
    ),
    Case("3.1", "longest name", job(steps=[{"name": "s" * 64, "script": SCRIPT}])),
    Case("3.1", "too long a name", job(steps=[{"name": "s" * 65, "script": SCRIPT}]), (f"{_STEP}.name",)),
    Case("3.1", "longest with the bundle", bundle(job(steps=[{"name": "s" * 512, "script": SCRIPT}]))),
    # 3.2 Dependencies
    Case("3.2", "chain", steps("A", "B", "C", C=["B"], B=["A"])),
    Case("3.2", "declared later", steps("A", "B", A=["B"])),
    Case("3.2", "unknown", steps("A", A=["B"]), ("steps[0].dependencies[0].dependsOn",)),
    Case("3.2", "itself", steps("A", A=["A"]), ("steps[0].dependencies[0].dependsOn",)),
    Case("3.2", "twice", steps("A", "B", B=["A", "A"]), ("steps[1].dependencies[1].dependsOn",)),
    Case("3.2", "circle", steps("A", "B", "C", A=["B"], B=["C"], C=["A"]), ("steps[0].dependencies",)),
    Case("3.2", "none", step(dependencies=[]), (f"{_STEP}.dependencies",)),
    Case("3.2", "a name only", step(dependencies=["A"]), (f"{_STEP}.dependencies[0]",)),
    # 3.3 Host requirements
    Case("3.3", "none", step(hostRequirements={}), (f"{_STEP}.hostRequirements",)),
    Case("3.3", "no amounts", amounts(), (f"{_STEP}.hostRequirements.amounts",)),
    Case("3.3", "fifty", amounts(*(amount(f"amount.x{n}", min=1) for n in range(50)))),
    Case(
        "3.3",
        "fifty-one",
        step(
            hostRequirements={
                "amounts": [amount(f"amount.x{n}", min=1) for n in range(26)],
                "attributes": [{"name": f"attr.x{n}", "anyOf": ["a"]} for n in range(25)],
            }
        ),
        (f"{_STEP}.hostRequirements",),
    ),
    Case(
        "3.3",
        "same name in another case",
        amounts(amount(min=1), amount("Amount.Worker.VCPU", min=1)),
        (f"{_STEP}.hostRequirements.amounts[1].name",),
    ),
    Case("3.3.1", "both", amounts(amount(min=0, max=0.5))),
    Case("3.3.1", "neither", amounts(amount()), (_AMOUNT,)),
    Case("3.3.1", "null", amounts(amount(min=None)), (_AMOUNT,), _NULL),
    Case("3.3.1", "negative", amounts(amount(min=-1)), (f"{_AMOUNT}.min",)),
    Case("3.3.1", "at most nothing", amounts(amount(max=0)), (f"{_AMOUNT}.max",)),
    Case(
        "3.3.1",
        "at most nothing as a string",
        bundle(amounts(amount(max="0"))),
        (f"{_AMOUNT}.max",),
        "the specification wants a positive number here, in a string or not",
    ),
    Case("3.3.1", "the wrong way round", amounts(amount(min=2, max=1)), (f"{_AMOUNT}.max",)),
    Case("3.3.1", "boolean", amounts(amount(min=True)), (f"{_AMOUNT}.min",)),
    Case(
        "3.3.1",
        "format string",
        bundle(amounts(amount(min="{{Param.P}}"))) | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case(
        "3.3.1",
        "format string without the bundle",
        amounts(amount(min="{{Param.P}}")) | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
        (f"{_AMOUNT}.min",),
    ),
    Case(
        "3.3.1.1",
        "defined",
        amounts(*(amount(f"amount.worker.{n}", min=1) for n in ("gpu.memory", "disk.scratch"))),
    ),
    Case("3.3.1.1", "of a vendor", amounts(amount("acme:amount.licenses", min=1))),
    Case(
        "3.3.1.1",
        "of a vendor with one letter",
        amounts(amount("a:amount.licenses", min=1)),
        (),
        "an identifier may have one letter",
    ),
    Case("3.3.1.1", "reserved", amounts(amount("amount.worker.brain", min=1)), (f"{_AMOUNT}.name",)),
    Case("3.3.1.1", "an attribute", amounts(amount("attr.worker.os.family", min=1)), (f"{_AMOUNT}.name",)),
    Case("3.3.1.1", "no dots", amounts(amount("vcpu", min=1)), (f"{_AMOUNT}.name",)),
    Case("3.3.1.1", "too long", amounts(amount("amount." + "x" * 94, min=1)), (f"{_AMOUNT}.name",)),
    Case("3.3.2", "one of", attributes({"name": "attr.worker.os.family", "anyOf": ["linux", "MACOS"]})),
    Case("3.3.2", "all of", attributes({"name": "attr.software", "allOf": ["a", "b-1"]})),
    Case("3.3.2", "neither", attributes({"name": "attr.software"}), (_ATTRIBUTE,)),
    Case("3.3.2", "null", attributes({"name": "attr.software", "anyOf": None}), (_ATTRIBUTE,), _NULL),
    Case("3.3.2", "fifty-one", attributes({"name": "attr.x", "anyOf": ["a"] * 51}), (f"{_ATTRIBUTE}.anyOf",)),
    Case(
        "3.3.2",
        "two at once",
        attributes({"name": "attr.worker.cpu.arch", "allOf": ["x86_64", "arm64"]}),
        (f"{_ATTRIBUTE}.allOf",),
    ),
    Case(
        "3.3.2.1",
        "unknown value",
        attributes({"name": "attr.worker.os.family", "anyOf": ["linux", "plan9"]}),
        (f"{_ATTRIBUTE}.anyOf[1]",),
    ),
    Case(
        "3.3.2.2",
        "begins with a digit",
        attributes({"name": "attr.x", "anyOf": ["1a"]}),
        (f"{_ATTRIBUTE}.anyOf[0]",),
    ),
    Case("3.3.2.2", "empty", attributes({"name": "attr.x", "anyOf": [""]}), (f"{_ATTRIBUTE}.anyOf[0]",)),
    Case(
        "3.3.2.2",
        "too long",
        attributes({"name": "attr.x", "anyOf": ["x" * 101]}),
        (f"{_ATTRIBUTE}.anyOf[0]",),
    ),
    Case(
        "3.3.2.2",
        "format string",
        attributes({"name": "attr.x", "anyOf": ["{{Param.P}}"]})
        | {"parameterDefinitions": [{"name": "P", "type": "STRING"}]},
    ),
    # 3.4 Parameter space
    Case("3.4", "sixteen", space(*(task(f"T{n}", values=[1]) for n in range(16)))),
    Case(
        "3.4",
        "seventeen",
        space(*(task(f"T{n}", values=[1]) for n in range(17))),
        (f"{_SPACE}.taskParameterDefinitions",),
    ),
    Case("3.4", "none", space(), (f"{_SPACE}.taskParameterDefinitions",)),
    Case("3.4", "same names", space(task("A"), task("A")), (f"{_SPACE}.taskParameterDefinitions[1].name",)),
    Case("3.4.1", "unknown type", space(task(kind="BOOL")), (f"{_TASK}.type",)),
    Case("3.4.1.1", "list", space(task(values=[1, "2", -3, 4.0]))),
    Case("3.4.1.1", "list with a word", space(task(values=[1, "two"])), (f"{_TASK}.range[1]",)),
    Case("3.4.1.1", "list with a boolean", space(task(values=[True])), (f"{_TASK}.range[0]",)),
    Case("3.4.1.1", "list with a fraction", space(task(values=[1.5])), (f"{_TASK}.range[0]",)),
    Case("3.4.1.1", "list of 1024", space(task(values=list(range(1024))))),
    Case("3.4.1.1", "list of 1025", space(task(values=list(range(1025)))), (f"{_TASK}.range",)),
    Case("3.4.1.1", "empty list", space(task(values=[])), (f"{_TASK}.range",)),
    Case("3.4.1.1", "a number", space(task(values=5)), (f"{_TASK}.range",)),
    Case(
        "3.4.1.1",
        "with references",
        space(task(values=["{{Param.P}}", 5])) | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case(
        "3.4.1.1",
        "a task does not know another",
        space(task("A"), task("B", values=["{{Task.Param.A}}"])),
        (f"{_SPACE}.taskParameterDefinitions[1].range[0]",),
    ),
    *(
        Case("3.4.1.1.1", f"range {number}", space(task(values=text)))
        for number, text in enumerate(
            [
                "1",
                "-5",
                "1-5",
                "-3--1",
                "1 - 5 : 2",
                "1-5:2, 10",
                "10-1:-3",
                "9,5,1",
                "1-1000000000",
                "1-10:3,11",
            ]
        )
    ),
    *(
        Case("3.4.1.1.1", f"no range {number}", space(task(values=text)), (f"{_TASK}.range",))
        for number, text in enumerate(
            [
                "",
                "a",
                "5-1",
                "1-5:0",
                "1-5:-1",
                "1-5,3",
                "1,,2",
                "1-",
                "1:2",
                "1-5:2:2",
                "1.5",
                "1 2",
                "1-10:4,10-15,9",
            ]
        )
    ),
    Case(
        "3.4.1.1.1",
        "expression with references",
        space(task(values="1-{{Param.P}}")) | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case("3.4.1.2", "list", space(task(kind="FLOAT", values=[1, 2.5, "03.50", "1e3"]))),
    Case("3.4.1.2", "a word", space(task(kind="FLOAT", values=["half"])), (f"{_TASK}.range[0]",)),
    Case(
        "3.4.1.2",
        "infinite",
        space(task(kind="FLOAT", values=["inf"])),
        (f"{_TASK}.range[0]",),
        "inf is no number in base 10",
    ),
    Case("3.4.1.2", "expression", space(task(kind="FLOAT", values="1-5")), (f"{_TASK}.range",)),
    Case(
        "3.4.1.3",
        "list",
        space(task(kind="STRING", values=["a", "{{RawParam.P}}", ""]))
        | {"parameterDefinitions": [{"name": "P", "type": "PATH"}]},
    ),
    Case("3.4.1.3", "a number", space(task(kind="STRING", values=[1])), (f"{_TASK}.range[0]",)),
    Case("3.4.1.3", "a string", space(task(kind="STRING", values="abc")), (f"{_TASK}.range",)),
    Case("3.4.1.4", "list", space(task(kind="PATH", values=["/a", "b"]))),
    Case("3.4.1.4", "empty path", space(task(kind="PATH", values=["/a", ""])), (f"{_TASK}.range[1]",)),
    Case("3.4.1.5", "chunks", bundle(space(chunked()), "TASK_CHUNKING")),
    Case("3.4.1.5", "without the extension", space(chunked()), (f"{_TASK}.type",)),
    Case("3.4.1.5", "without chunks", bundle(space(task(kind="CHUNK[INT]")), "TASK_CHUNKING"), (_TASK,)),
    Case(
        "3.4.1.5",
        "chunks of an INT",
        bundle(space(chunked() | {"type": "INT"}), "TASK_CHUNKING"),
        (f"{_TASK}.chunks",),
    ),
    Case(
        "3.4.1.5",
        "two of them",
        bundle(space(chunked(name="A"), chunked(name="B")), "TASK_CHUNKING"),
        (f"{_SPACE}.taskParameterDefinitions",),
    ),
    Case(
        "3.4.1.5",
        "strings and references",
        bundle(
            space(
                chunked(
                    defaultTaskCount="3", targetRuntimeSeconds="{{Param.P}}", rangeConstraint="NONCONTIGUOUS"
                )
            ),
            "TASK_CHUNKING",
        )
        | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case(
        "3.4.1.5",
        "chunks of nothing",
        bundle(space(chunked(defaultTaskCount=0)), "TASK_CHUNKING"),
        (f"{_TASK}.chunks.defaultTaskCount",),
    ),
    Case(
        "3.4.1.5",
        "negative target",
        bundle(space(chunked(targetRuntimeSeconds=-1)), "TASK_CHUNKING"),
        (f"{_TASK}.chunks.targetRuntimeSeconds",),
    ),
    Case(
        "3.4.1.5",
        "unknown constraint",
        bundle(space(chunked(rangeConstraint="ANY")), "TASK_CHUNKING"),
        (f"{_TASK}.chunks.rangeConstraint",),
    ),
    Case(
        "3.4.1.5",
        "in an association",
        bundle(space(chunked("1-3"), task("T"), combination="(C, T)"), "TASK_CHUNKING"),
        (f"{_SPACE}.combination",),
    ),
    Case(
        "3.4.1.5",
        "deep in an association",
        bundle(
            space(chunked("1-3"), task("T", values=[1]), task("U"), combination="(C * T, U)"), "TASK_CHUNKING"
        ),
        (f"{_SPACE}.combination",),
    ),
    Case(
        "3.4.2",
        "too long a value",
        space(task(kind="STRING", values=["x" * 1025])),
        (f"{_TASK}.range[0]",),
        _EARLY,
    ),
    # 3.4.3 Combination
    Case("3.4.3", "product", space(task("A"), task("B"), combination="B * A")),
    Case("3.4.3", "association", space(task("A"), task("B"), combination="(A, B)")),
    Case(
        "3.4.3",
        "nested",
        space(
            task("A"),
            task("B", values=[1]),
            task("C"),
            task("D", values=[1, 2]),
            combination="D * (A * B, C)",
        ),
    ),
    Case("3.4.3", "without spaces", space(task("A"), task("B"), combination="A*B")),
    Case("3.4.3", "one only", space(task("A"), combination="A")),
    Case(
        "3.4.3",
        "lengths differ",
        space(task("A"), task("B", values="1-2"), combination="(A, B)"),
        (f"{_SPACE}.combination",),
        _EARLY,
    ),
    Case(
        "3.4.3",
        "lengths not known yet",
        space(task("A"), task("B", values="1-{{Param.P}}"), combination="(A, B)")
        | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case("3.4.3", "one is missing", space(task("A"), task("B"), combination="A"), (f"{_SPACE}.combination",)),
    Case(
        "3.4.3",
        "unknown and missing",
        space(task("A"), task("B"), combination="A * C"),
        (f"{_SPACE}.combination",) * 2,
        "openjd-model counts the names only",
    ),
    Case("3.4.3", "unknown", space(task("A"), combination="A * C"), (f"{_SPACE}.combination",)),
    Case("3.4.3", "twice", space(task("A"), task("B"), combination="A * B * A"), (f"{_SPACE}.combination",)),
    *(
        Case(
            "3.4.3",
            f"no expression {number}",
            space(task("A"), task("B"), combination=text),
            (f"{_SPACE}.combination",),
        )
        for number, text in enumerate(
            [
                "",
                " ",
                "A *",
                "* A",
                "(A, B",
                "A, B",
                "(A)",
                "A B",
                "A\t* B",
                "A + B",
                "()",
                "(A,,B)",
                "A * B)",
            ]
        )
    ),
    Case("3.4.3", "longest", space(task("A"), task("B"), combination="A *" + " " * 1276 + "B")),
    Case(
        "3.4.3",
        "too long",
        space(task("A"), task("B"), combination="A *" + " " * 1277 + "B"),
        (f"{_SPACE}.combination",),
    ),
    # 3.5 Step script
    Case("3.5", "no actions", step(script={}), (f"{_STEP}.script",)),
    Case("3.5", "no action", step(script={"actions": {}}), (f"{_STEP}.script.actions",)),
    Case("3.5", "no files", files(), (f"{_STEP}.script.embeddedFiles",)),
    Case("3.5", "same files", files(file(), file()), (f"{_STEP}.script.embeddedFiles[1].name",)),
    # 4 Environment
    Case("4", "variables", environment(variables={"A_1": "", "_b": "{{Session.WorkingDirectory}}"})),
    Case("4", "script", environment(script={"actions": {"onEnter": RUN, "onExit": RUN}})),
    Case("4", "neither", environment(), (_ENV,)),
    Case("4", "null", environment(variables=None, script=None), (_ENV,)),
    Case("4", "no variables", environment(variables={}), (f"{_ENV}.variables",)),
    Case(
        "4",
        "same names",
        job(jobEnvironments=[{"name": "E", "variables": {"A": "1"}}] * 2),
        ("jobEnvironments[1].name",),
    ),
    Case(
        "4.1",
        "too long",
        job(jobEnvironments=[{"name": "e" * 65, "variables": {"A": "1"}}]),
        (f"{_ENV}.name",),
    ),
    Case("4.3", "neither", environment(script={"actions": {}}), (f"{_ENV}.script.actions",)),
    Case("4.3", "exit only", environment(script={"actions": {"onExit": RUN}})),
    Case(
        "4.3",
        "of an extension",
        environment(script={"actions": {"onEnter": RUN, "onWrapTaskRun": RUN}}),
        (f"{_ENV}.script.actions.onWrapTaskRun",),
    ),
    Case(
        "4.3",
        "onRun",
        environment(script={"actions": {"onRun": RUN}}),
        (f"{_ENV}.script.actions.onRun", f"{_ENV}.script.actions"),
    ),
    Case("4.4.1", "bad name", environment(variables={"A-B": "1"}), (f"{_ENV}.variables.A-B",)),
    Case("4.4.1", "empty name", environment(variables={"": "1"}), (f"{_ENV}.variables.",)),
    Case("4.4.1", "longest name", environment(variables={"A" * 256: "1"})),
    Case(
        "4.4.1",
        "too long a name",
        environment(variables={"A" * 257: "1"}),
        (f"{_ENV}.variables.{'A' * 257}",),
    ),
    Case("4.4.2", "a number", environment(variables={"A": 1}), (f"{_ENV}.variables.A",)),
    Case("4.4.2", "longest", environment(variables={"A": "x" * 2048})),
    Case("4.4.2", "too long", environment(variables={"A": "x" * 2049}), (f"{_ENV}.variables.A",)),
    # 5 Action
    Case("5", "everything", action(args=["", "a\nb"], timeout=5, cancelation={"mode": "TERMINATE"})),
    Case("5", "no command", step(script={"actions": {"onRun": {}}}), (_RUN,)),
    Case("5", "unknown key", action(environment={}), (f"{_RUN}.environment",)),
    Case("5", "no arguments", action(args=[]), (f"{_RUN}.args",)),
    Case("5", "null arguments", action(args=None)),
    Case("5", "number as an argument", action(args=["-n", 5]), (f"{_RUN}.args[1]",)),
    Case("5", "timeout of nothing", action(timeout=0), (f"{_RUN}.timeout",)),
    Case("5", "timeout of half a second", action(timeout=0.5), (f"{_RUN}.timeout",)),
    Case("5", "timeout as a string", action(timeout="5")),
    Case("5", "boolean timeout", action(timeout=True), (f"{_RUN}.timeout",), _BOOL),
    Case(
        "5",
        "timeout by reference",
        bundle(action(timeout="{{Param.P}}")) | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
    ),
    Case(
        "5",
        "timeout by reference without the bundle",
        action(timeout="{{Param.P}}") | {"parameterDefinitions": [{"name": "P", "type": "INT"}]},
        (f"{_RUN}.timeout",),
    ),
    Case(
        "5",
        "timeout by what the session has",
        bundle(action(timeout="{{Session.WorkingDirectory}}")),
        (f"{_RUN}.timeout",),
    ),
    Case("5.1", "empty", action(command=""), (f"{_RUN}.command",)),
    Case("5.1", "two lines", action(command="a\nb"), (f"{_RUN}.command",)),
    Case("5.2", "tab", action(args=["a\tb"]), (f"{_RUN}.args[0]",)),
    Case("5.3", "unknown mode", action(cancelation={"mode": "ASK"}), (f"{_RUN}.cancelation.mode",)),
    Case("5.3", "no mode", action(cancelation={}), (f"{_RUN}.cancelation",)),
    Case("5.3", "a word", action(cancelation="TERMINATE"), (f"{_RUN}.cancelation",)),
    Case(
        "5.3",
        "mode by reference",
        bundle(action(cancelation={"mode": "{{Param.P}}"}))
        | {"parameterDefinitions": [{"name": "P", "type": "STRING"}]},
    ),
    Case(
        "5.3",
        "mode by reference without the bundle",
        action(cancelation={"mode": "{{Param.P}}"})
        | {"parameterDefinitions": [{"name": "P", "type": "STRING"}]},
        (f"{_RUN}.cancelation.mode",),
    ),
    Case(
        "5.3.1",
        "period",
        action(cancelation={"mode": "TERMINATE", "notifyPeriodInSeconds": 5}),
        (f"{_RUN}.cancelation.notifyPeriodInSeconds",),
    ),
    Case("5.3.2", "default", action(cancelation={"mode": "NOTIFY_THEN_TERMINATE"})),
    Case(
        "5.3.2",
        "longest",
        action(cancelation={"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 600}),
    ),
    Case(
        "5.3.2",
        "too long",
        action(cancelation={"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 601}),
        (f"{_RUN}.cancelation.notifyPeriodInSeconds",),
    ),
    Case(
        "5.3.2",
        "nothing",
        action(cancelation={"mode": "NOTIFY_THEN_TERMINATE", "notifyPeriodInSeconds": 0}),
        (f"{_RUN}.cancelation.notifyPeriodInSeconds",),
    ),
    # 6 Embedded files
    Case(
        "6.1",
        "everything",
        bundle(files(file(filename="run.sh", runnable=True, endOfLine="CRLF", data="\t{{Task.File.F}}"))),
    ),
    Case("6.1", "no data", files({"name": "F", "type": "TEXT"}), (_FILE,)),
    Case("6.1", "empty", files(file(data="")), (f"{_FILE}.data",)),
    Case("6.1", "unknown type", files(file(type="BINARY")), (f"{_FILE}.type",)),
    Case("6.1", "runnable as a word", files(file(runnable="true")), (f"{_FILE}.runnable",)),
    Case("6.1", "runnable as a number", files(file(runnable=1)), (f"{_FILE}.runnable",)),
    Case("6.1", "line ends without the bundle", files(file(endOfLine="LF")), (f"{_FILE}.endOfLine",)),
    Case("6.1", "unknown line ends", bundle(files(file(endOfLine="CR"))), (f"{_FILE}.endOfLine",)),
    Case("6.1.1", "directory", files(file(filename="a/b")), (f"{_FILE}.filename",)),
    Case("6.1.1", "directory of Windows", files(file(filename="a\\b")), (f"{_FILE}.filename",)),
    Case(
        "6.1.1",
        "the directory itself",
        files(file(filename="..")),
        (f"{_FILE}.filename",),
        "it is no name of a file",
    ),
    Case("6.1.1", "too long", files(file(filename="f" * 65)), (f"{_FILE}.filename",)),
    Case("6.1.1", "longest with the bundle", bundle(files(file(filename="f" * 256)))),
    Case(
        "6.1.1", "too long with the bundle", bundle(files(file(filename="f" * 257))), (f"{_FILE}.filename",)
    ),
    # 7 Strings
    Case("7.1", "longest", job(parameterDefinitions=[{"name": "p" * 64, "type": "INT"}])),
    Case("7.1", "too long", job(parameterDefinitions=[{"name": "p" * 65, "type": "INT"}]), (f"{_P}.name",)),
    Case(
        "7.1",
        "longest with the bundle",
        bundle(job(parameterDefinitions=[{"name": "p" * 512, "type": "INT"}])),
    ),
    *(
        Case(
            "7.1",
            f"no name {number}",
            job(parameterDefinitions=[{"name": name, "type": "INT"}]),
            (f"{_P}.name",),
        )
        for number, name in enumerate(["", "1a", "a-b", "a b", "ä", "a\n"])
    ),
    Case("7.2", "lines and tabs", job(description="a\r\n\tb")),
    Case("7.2", "bell", job(description="a\x07"), ("description",)),
    Case("7.2", "longest", job(description="d" * 2048)),
    Case("7.2", "too long", job(description="d" * 2049), ("description",)),
    *(
        Case("7.3", f"no format string {number}", action(args=[text]), (f"{_RUN}.args[0]",))
        for number, text in enumerate(
            ["{{", "}}", "{{}}", "{{ a b }}", "}} {{", "{{a.}}", "{{.a}}", "{{1a}}", "{{{a}}}", "{{a+b}}"]
        )
    ),
    Case("7.3", "spaces", files(file(data="{{\n Session . WorkingDirectory\t}} {} { }"))),
    Case("7.3", "line in a name", parameter("INT") | {"name": "{{\nParam.P}}"}, ("name",)),
    Case(
        "7.3",
        "several unknown",
        action(args=["{{Param.A}}{{Param.B}}", "{{Nothing}}"]),
        (f"{_RUN}.args[0]", f"{_RUN}.args[0]", f"{_RUN}.args[1]"),
    ),
    # 7.3.1 What may be referred to where
    Case(
        "7.3.1",
        "a task",
        job(
            parameterDefinitions=[{"name": "P", "type": "PATH"}],
            steps=[
                {
                    "name": "Only",
                    "parameterSpace": {"taskParameterDefinitions": [task()]},
                    "script": {
                        "actions": {
                            "onRun": {
                                "command": "{{Task.File.F}}",
                                "args": [
                                    "{{Param.P}} {{RawParam.P}} {{Task.Param.T}} {{Task.RawParam.T}}",
                                    "{{Session.HasPathMappingRules}} {{Session.PathMappingRulesFile}}",
                                ],
                            }
                        },
                        "embeddedFiles": [file(data="{{Session.WorkingDirectory}} {{Task.Param.T}}")],
                    },
                }
            ],
        ),
    ),
    Case(
        "7.3.1",
        "file of an environment",
        environment(
            script={"actions": {"onEnter": RUN | {"args": ["{{Env.File.F}}"]}}, "embeddedFiles": [file()]}
        ),
    ),
    Case(
        "7.3.1",
        "file of a task in an environment",
        environment(
            script={"actions": {"onEnter": RUN | {"args": ["{{Task.File.F}}"]}}, "embeddedFiles": [file()]}
        ),
        (f"{_ENV}.script.actions.onEnter.args[0]",),
    ),
    Case(
        "7.3.1",
        "file in variables",
        environment(
            variables={"A": "{{Env.File.F}}"}, script={"actions": {"onEnter": RUN}, "embeddedFiles": [file()]}
        ),
        (f"{_ENV}.variables.A",),
    ),
    Case(
        "7.3.1",
        "a task in the environment of its step",
        step(
            parameterSpace={"taskParameterDefinitions": [task()]},
            stepEnvironments=[{"name": "E", "variables": {"A": "{{Task.Param.T}}"}}],
        ),
        (f"{_STEP}.stepEnvironments[0].variables.A",),
    ),
    Case(
        "7.3.1",
        "a task of another step",
        job(
            steps=[
                {"name": "A", "script": SCRIPT, "parameterSpace": {"taskParameterDefinitions": [task()]}},
                {"name": "B", "script": {"actions": {"onRun": {"command": "{{Task.Param.T}}"}}}},
            ]
        ),
        ("steps[1].script.actions.onRun.command",),
    ),
    Case("7.3.1", "the session in a name", job(name="{{Session.WorkingDirectory}}"), ("name",)),
    Case(
        "7.3.1",
        "a mistake does not spread",
        job(name="{{Param.P}}", parameterDefinitions=[{"name": "P", "type": "INT", "default": "x"}]),
        (f"{_P}.default",),
    ),
    # 8 Simple actions
    *(
        Case(
            "8",
            f"{name}",
            bundle(job(steps=[{"name": "Only", name: {"script": "1", "args": ["a"], "timeout": "5"}}])),
        )
        for name in ("python", "bash", "cmd", "powershell", "node")
    ),
    Case(
        "8",
        "without the bundle",
        job(steps=[{"name": "Only", "python": {"script": "1"}}]),
        ("steps[0].python",),
    ),
    Case("8", "with a script", bundle(step(python={"script": "1"})), (_STEP,)),
    Case(
        "8",
        "two of them",
        bundle(job(steps=[{"name": "Only", "bash": {"script": "1"}, "cmd": {"script": "1"}}])),
        (_STEP,),
    ),
    Case("8", "without its text", bundle(job(steps=[{"name": "Only", "bash": {}}])), ("steps[0].bash",)),
    Case(
        "8",
        "its file has no name",
        bundle(job(steps=[{"name": "Only", "bash": {"script": "{{Task.File.Script}}"}}])),
        ("steps[0].bash.script",),
    ),
    Case(
        "8",
        "unknown key",
        bundle(job(steps=[{"name": "Only", "bash": {"script": "1", "command": "x"}}])),
        ("steps[0].bash.command",),
    ),
)
