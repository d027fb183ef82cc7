// SPDX-License-Identifier: Apache-2.0
// The GameDay document: its errors, its files, its schema, its documentation; what is known of a
// day, and what people say of it.
#include "api/gameday.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/codec.h"
#include "api/gameday_plan.h"
#include "api/gameday_record.h"
#include "base/printable.h"
#include "tests/places.h"
#include "tests/unit/api/against_schema.h"
#include "tests/unit/hostile.h"

namespace faultline::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kDay = R"(apiVersion: faultline.dev/v1alpha1
kind: GameDay
metadata: {name: pay, labels: {team: shop}}
spec:
  title: Payments is slow
  hypothesis: Checkout stays up
  owner: shop
  roles:
    facilitator: [jane]
    observers: [joe, jim]
  window: {notBefore: "2026-12-01T09:00:00Z", notAfter: "2026-12-01T12:00:00+01:30"}
  preChecks: [agents, targets]
  abortWhen:
  - {promql: up, below: 1}
  steps:
  - name: briefing
    waitFor: {person: Everybody is here}
  - name: slow
    surprise: true
    onMiss: continue
    deadline: 5m
    experiment:
      spec:
        target: {selector: {namespaces: [shop]}}
        faults: [{networkLatency: {latency: 200ms}}]
        phases: {baseline: 10s, fault: 30s, recovery: 10s}
        seed: 7
  - name: both
    parallel:
    - name: mend
      task:
        text: Bring it back
        role: commander
        timeout: 10m
        otherwise: missed
        runbook: {text: "1. look\n2. mend"}
    - name: grid
      when: {step: slow, is: [met, missed]}
      sweep:
        experiment:
          target: {selector: {namespaces: [shop]}}
          phases: {baseline: 1s, fault: 2s, recovery: 1s}
          expect: {alerts: [{name: Slow, within: 2s}]}
        faults:
        - {name: loss, fault: {networkLoss: {}}, vary: loss, severities: [1%, 20%]}
  - name: again
    repeat: 3
    serial:
    - {name: rest, pause: 20s}
    - {name: silent, waitFor: {alert: Slow, state: silent, labels: {severity: page}}}
    - {name: query, waitFor: {promql: up, above: 0}}
    - {name: felt, waitFor: {effect: {metric: request.latency, quantile: 0.99, below: 1s}}}
  - {name: end, note: That was it}
)";

std::string changed(std::string_view old, std::string_view now, std::string_view text = kDay) {
  std::string out(text);
  const std::size_t at = out.find(old);
  EXPECT_NE(at, out.npos) << old;
  return out.replace(at, old.size(), now);
}

std::string refusal_of(const std::string& text) {
  const auto day = parse_gameday(text, "d.yaml");
  EXPECT_FALSE(day) << text;
  return day ? "" : day.error().message;
}

std::string refusal(std::string_view old, std::string_view now) {
  return refusal_of(changed(old, now));
}

std::string with_steps(const std::string& steps) {
  return "apiVersion: faultline.dev/v1alpha1\nkind: GameDay\nmetadata: {name: pay}\nspec:\n"
         "  title: t\n  steps:\n" +
         steps;
}

TEST(GameDay, EveryKindOfStepIsRead) {
  const auto day = parse_gameday(kDay, "d.yaml");
  ASSERT_TRUE(day) << day.error().message;
  std::vector<std::string> seen;
  for_each_step(*day, [&](const Step& step, const std::string& path) {
    seen.push_back(path + " " + step.name + " " + std::string(step_kind(step)));
  });
  EXPECT_THAT(
      seen,
      ElementsAre("spec.steps[0] briefing waitFor", "spec.steps[1] slow experiment",
                  "spec.steps[2] both parallel", "spec.steps[2].parallel[0] mend task",
                  "spec.steps[2].parallel[1] grid sweep", "spec.steps[3] again serial",
                  "spec.steps[3].serial[0] rest pause", "spec.steps[3].serial[1] silent waitFor",
                  "spec.steps[3].serial[2] query waitFor", "spec.steps[3].serial[3] felt waitFor",
                  "spec.steps[4] end note"));
  EXPECT_EQ(day->spec.window.notAfter.format(), "2026-12-01T10:30:00.000000Z");
  EXPECT_EQ(least_length(*day), std::chrono::seconds(50 + 2 * 4 + 3 * 20));
  EXPECT_TRUE(says_gameday(kDay));
  EXPECT_FALSE(says_gameday("kind: Experiment\n"));
  EXPECT_FALSE(says_gameday("kind: [GameDay]\n"));
  EXPECT_FALSE(says_gameday("{{{"));
}

TEST(GameDay, ExperimentsAndSweepsAreNamedAfterDayAndStep) {
  const auto day = parse_gameday(kDay, "d.yaml");
  ASSERT_TRUE(day);
  const Experiment first = step_experiment(*day, day->spec.steps[1], 0);
  EXPECT_EQ(first.metadata.name, "pay-slow");
  EXPECT_EQ(first.metadata.labels.at("team"), "shop");
  EXPECT_EQ(first.metadata.labels.at(std::string(kDayStepLabel)), "slow");
  EXPECT_TRUE(validate(first));
  EXPECT_EQ(first.spec.seed, 7U);
  EXPECT_EQ(step_experiment(*day, day->spec.steps[1], 2).spec.seed, 9U);
  const Step& grid = day->spec.steps[2].parallel[1];
  const Sweep sweep = step_sweep(*day, grid);
  EXPECT_EQ(cell_name(sweep, sweep.spec.faults[0], 2), "pay-grid-loss-2");
  EXPECT_TRUE(cell_experiment(sweep, sweep.spec.faults[0], "20%", "x"));
}

TEST(GameDay, ErrorsNameTheLineTheFieldAndTheNearestWord) {
  EXPECT_THAT(refusal("kind: GameDay", "kind: Gameday"),
              HasSubstr("d.yaml:2: kind: expected one of GameDay, got \"Gameday\""));
  EXPECT_THAT(refusal("hypothesis:", "hypotesis:"),
              HasSubstr("d.yaml:6: spec.hypotesis: unknown key"));
  EXPECT_THAT(refusal("hypothesis:", "hypotesis:"), HasSubstr("did you mean \"hypothesis\"?"));
  EXPECT_THAT(refusal("  title: Payments is slow\n", ""),
              HasSubstr("missing required key \"title\""));
  EXPECT_THAT(refusal("title: Payments is slow", "title: \"\""), HasSubstr("d.yaml:5: spec.title"));
  EXPECT_THAT(refusal("facilitator:", "faciltator:"), HasSubstr("did you mean \"facilitator\"?"));
  EXPECT_THAT(refusal("[agents, targets]", "[agents, target]"),
              HasSubstr("d.yaml:12: spec.preChecks[1]: expected one of agents, targets"));
  EXPECT_THAT(refusal("[agents, targets]", "[agents, agents]"),
              HasSubstr("d.yaml:12: spec.preChecks[1]: is given twice"));
  EXPECT_THAT(refusal("12:00:00+01:30", "10:00:00+02:00"),
              HasSubstr("spec.window: notAfter is not after notBefore"));
  EXPECT_THAT(refusal("2026-12-01T09:00:00Z", "tomorrow"),
              HasSubstr("spec.window.notBefore: expected a time like"));
  EXPECT_THAT(refusal("waitFor: {person", "waitfor: {person"),
              HasSubstr("d.yaml:17: spec.steps[0].waitfor: unknown key"));
  EXPECT_THAT(refusal("onMiss: continue", "onMiss: stop"),
              HasSubstr("expected one of continue, hold, abort"));
  EXPECT_THAT(refusal("repeat: 3", "repeat: 0"), HasSubstr("must be from 1 to 100"));
  EXPECT_THAT(refusal("deadline: 5m", "deadline: soon"), HasSubstr("expected a duration"));
  EXPECT_THAT(refusal("networkLatency", "networkLatncy"), HasSubstr("networkLatency"));
  EXPECT_THAT(refusal("steps:\n", "steps: []\n  step:\n"), HasSubstr("must not be empty"));
  EXPECT_THAT(refusal("name: briefing", "name: Brief_ing"), HasSubstr("d.yaml:16"));
}

TEST(GameDay, AStepIsOneThing) {
  EXPECT_THAT(refusal("    waitFor: {person: Everybody is here}\n", ""),
              HasSubstr("d.yaml:16: spec.steps[0]: needs exactly one of experiment, sweep, task, "
                        "waitFor, note, pause, serial and parallel, got none"));
  EXPECT_THAT(refusal("note: That", "pause: 1s, note: That"), HasSubstr("got 2"));
  EXPECT_THAT(refusal("pause: 20s", "pause: 0s"), HasSubstr("got none"));
  EXPECT_THAT(refusal("{person: Everybody is here}", "{}"),
              HasSubstr("spec.steps[0].waitFor: needs exactly one of alert, promql, effect and "
                        "person, got none"));
  EXPECT_THAT(refusal("{promql: up, above: 0}", "{promql: up, above: 0, alert: A}"),
              HasSubstr("got 2"));
  EXPECT_THAT(refusal("{promql: up, above: 0}", "{promql: up}"),
              HasSubstr("spec.steps[3].serial[2].waitFor"));
  EXPECT_THAT(refusal("{promql: up, above: 0}", "{promql: up, above: 0, below: 1}"),
              HasSubstr("spec.steps[3].serial[2].waitFor"));
  EXPECT_THAT(refusal("{person: Everybody is here}", "{person: x, above: 1}"),
              HasSubstr("above and below go only together with promql"));
  EXPECT_THAT(refusal("{person: Everybody is here}", "{person: x, state: silent}"),
              HasSubstr("labels and state go only together with alert"));
  EXPECT_THAT(refusal("below: 1s", "below: fast"),
              HasSubstr("d.yaml:52: spec.steps[3].serial[3].waitFor.effect"));
  EXPECT_THAT(refusal("promql: up, below: 1", "promql: up"), HasSubstr("spec.abortWhen[0]"));
}

TEST(GameDay, ATaskSaysWhatIsToBeDone) {
  EXPECT_TRUE(parse_gameday(changed("        text: Bring it back\n", ""), "d"));
  EXPECT_THAT(refusal_of(with_steps("  - {name: a, task: {role: scribe}}\n")),
              HasSubstr("d.yaml:7: spec.steps[0].task: needs a text or a runbook"));
  EXPECT_THAT(refusal_of(with_steps("  - {name: a, task: {text: x, runbook: {}}}\n")),
              HasSubstr("needs exactly one of file, configMap, url and text"));
  EXPECT_THAT(refusal_of(with_steps(
                  "  - {name: a, task: {text: x, runbook: {file: a.md, url: \"https://a/b\"}}}\n")),
              HasSubstr("needs exactly one of"));
  EXPECT_THAT(refusal_of(with_steps("  - {name: a, task: {text: x, runbook: {file: /etc/x}}}\n")),
              HasSubstr("a path that is relative to this file"));
  EXPECT_THAT(
      refusal_of(with_steps("  - {name: a, task: {text: x, runbook: {url: \"file:///etc\"}}}\n")),
      HasSubstr("https://"));
  EXPECT_THAT(
      refusal_of(with_steps("  - {name: a, task: {text: x, runbook: {configMap: books}}}\n")),
      HasSubstr("NAME/KEY"));
  EXPECT_THAT(refusal_of(with_steps("  - {name: a, task: {text: x, role: comander}}\n")),
              HasSubstr("did you mean \"commander\"?"));
}

TEST(GameDay, NamesAreUniqueAndNotTooLong) {
  EXPECT_THAT(refusal("name: end", "name: rest"),
              HasSubstr("spec.steps[4].name: is the name of another step already"));
  EXPECT_THAT(refusal("name: pay,", "name: " + std::string(60, 'p') + ","),
              HasSubstr("characters, at most 63"));
}

TEST(GameDay, WhenNamesAStepThatIsOverByThen) {
  EXPECT_THAT(refusal("{step: slow,", "{step: slw,"),
              HasSubstr("d.yaml:38: spec.steps[2].parallel[1].when.step: expected the name of a "
                        "step that is over by then, got \"slw\"; did you mean \"slow\"?"));
  for (const char* name : {"mend", "both", "grid", "again", "rest"})
    EXPECT_THAT(refusal("{step: slow,", "{step: " + std::string(name) + ","),
                HasSubstr("a step that is over by then"))
        << name << " goes on, or comes later";
  EXPECT_TRUE(
      parse_gameday(changed("name: end,", "name: end, when: {step: mend, is: [skipped]},"), "d"));
  EXPECT_THAT(refusal("is: [met, missed]", "is: []"), HasSubstr("must not be empty"));
  EXPECT_THAT(refusal("is: [met, missed]", "is: [mett]"), HasSubstr("did you mean \"met\"?"));
}

TEST(GameDay, ASurpriseNeedsAFacilitator) {
  EXPECT_THAT(refusal("    facilitator: [jane]\n", ""),
              HasSubstr("d.yaml:18: spec.steps[1].surprise: needs a facilitator: "
                        "spec.roles.facilitator says who knows the surprises"));
}

TEST(GameDay, ExperimentsAndSweepsInItAreCheckedWhereTheyStand) {
  EXPECT_THAT(refusal("latency: 200ms", "latency: 20s"),
              HasSubstr("d.yaml:25: spec.steps[1].experiment.spec.faults[0].networkLatency"));
  EXPECT_THAT(refusal("latency: 200ms", "latency: 20ms, jitter: 1s"),
              HasSubstr("spec.steps[1].experiment.spec.faults[0].networkLatency.jitter"));
  EXPECT_THAT(refusal("networkLoss: {}", "networkLoss: {loss: 1%}"),
              HasSubstr("spec.steps[2].parallel[1].sweep.faults[0].fault.networkLoss.loss: is "
                        "what varies"));
  EXPECT_THAT(refusal("severities: [1%, 20%]", "severities: [20%, 1%]"),
              HasSubstr("spec.steps[2].parallel[1].sweep.faults[0].severities[1]"));
  EXPECT_THAT(
      refusal_of(with_steps("  - {name: a, experiment: {}}\n")),
      HasSubstr("spec.steps[0].experiment: needs exactly one of spec, file and secret, got none"));
  // One that is no sweep at all does not shift the others.
  EXPECT_THAT(refusal("  - name: briefing", "  - {name: z, sweep: null}\n  - name: briefing"),
              Not(HasSubstr("parallel")));
}

TEST(GameDay, GroupsAreNotTooDeepNorStepsTooMany) {
  std::string deep = "  - {name: s0, ";
  for (int i = 1; i < 8; ++i) deep += "serial: [{name: s" + std::to_string(i) + ", ";
  EXPECT_TRUE(parse_gameday(with_steps(deep + "note: x}" +
                                       [] {
                                         std::string end;
                                         for (int i = 1; i < 8; ++i) end += "]}";
                                         return end;
                                       }() +
                                       "\n"),
                            "d"));
  EXPECT_THAT(refusal_of(with_steps(deep + "serial: [{name: z, note: x}]}" +
                                    [] {
                                      std::string end;
                                      for (int i = 1; i < 8; ++i) end += "]}";
                                      return end;
                                    }() +
                                    "\n")),
              HasSubstr("groups are at most 7 deep in each other"));
  std::string bottomless;
  for (int i = 0; i < 200; ++i) bottomless += "[{serial: ";
  EXPECT_FALSE(parse_gameday("spec: {steps: " + bottomless, "d"));
  std::string many;
  for (int i = 0; i < 16; ++i) {
    many += "  - name: g" + std::to_string(i) + "\n    serial:\n";
    for (int j = 0; j < 15; ++j)
      many += "    - {name: s" + std::to_string(i) + "-" + std::to_string(j) + ", note: x}\n";
  }
  EXPECT_TRUE(parse_gameday(with_steps(many), "d"));
  EXPECT_THAT(refusal_of(with_steps(many + "  - {name: more, note: x}\n")),
              HasSubstr("spec.steps: has 257 steps, at most 256 are one day"));
}

TEST(GameDay, RepeatsInRepeatsEnd) {
  std::string steps = "  - ";
  for (int i = 0; i < 7; ++i) steps += "{name: s" + std::to_string(i) + ", repeat: 100, serial: [";
  steps += "{name: z, repeat: 100, pause: 24h}";
  for (int i = 0; i < 7; ++i) steps += "]}";
  EXPECT_THAT(refusal_of(with_steps(steps + "\n")),
              HasSubstr("are more than 2000 steps with their repeats"));
  EXPECT_THAT(refusal_of(with_steps("  - {name: z, repeat: 25, pause: 1h}\n")),
              HasSubstr("take more than 24 h in all"));
}

Result<std::string> reads(const std::string& text,
                          const std::map<std::string, std::string>& files) {
  return with_files(text, "d.yaml", [&](const std::string& path) -> Result<std::string> {
    const auto it = files.find(path);
    if (it == files.end()) return fail(Errc::kInvalid, path + ": No such file or directory");
    return it->second;
  });
}

constexpr const char* kFileExperiment = R"(apiVersion: faultline.dev/v1alpha1
kind: Experiment
metadata: {name: other}
spec:
  target: {selector: {namespaces: [shop]}}
  faults: [{networkLatency: {latency: 50ms}}]
)";

TEST(GameDay, FilesBecomeAPartOfIt) {
  const std::string text = with_steps(
      "  - {name: a, experiment: {file: x/slow.yaml}}\n"
      "  - {name: b, serial: [{name: c, task: {runbook: {file: book.md}}}]}\n");
  const auto before = parse_gameday(text, "d.yaml");
  ASSERT_TRUE(before) << before.error().message;
  EXPECT_THAT(missing_files(*before), ElementsAre("x/slow.yaml", "book.md"));
  const auto whole =
      reads(text, {{"x/slow.yaml", kFileExperiment}, {"book.md", "# B\n1. look\n2. mend\n"}});
  ASSERT_TRUE(whole) << whole.error().message;
  const auto day = parse_gameday(*whole, "d.yaml");
  ASSERT_TRUE(day) << day.error().message;
  EXPECT_THAT(missing_files(*day), testing::IsEmpty());
  EXPECT_EQ(step_experiment(*day, day->spec.steps[0], 0).metadata.name, "pay-a");
  EXPECT_EQ(day->spec.steps[1].serial[0].task->runbook->file, "book.md");
  EXPECT_THAT(runbook_steps(day->spec.steps[1].serial[0].task->runbook->text),
              ElementsAre("look", "mend"));
}

TEST(GameDay, AFileThatIsWrongIsToldWithItsPlace) {
  const std::string text = with_steps(
      "  - {name: a, experiment: {file: slow.yaml}}\n"
      "  - {name: b, task: {runbook: {file: book.md}}}\n");
  const auto none = reads(text, {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().message,
            "d.yaml:7: spec.steps[0].experiment.file: slow.yaml: No such file or directory\n"
            "d.yaml:8: spec.steps[1].task.runbook.file: book.md: No such file or directory");
  const auto bad = reads(
      text,
      {{"slow.yaml", changed("latency: 50ms", "latenzy: 50ms", kFileExperiment)}, {"book.md", ""}});
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message,
              HasSubstr("d.yaml:7: spec.steps[0].experiment.file: slow.yaml:6: spec.faults[0]"));
  EXPECT_THAT(bad.error().message, HasSubstr("did you mean \"latency\"?"));
  const auto elsewhere = reads(
      text, {{"slow.yaml", changed("{name: other}", "{name: o, namespace: shop}", kFileExperiment)},
             {"book.md", ""}});
  ASSERT_FALSE(elsewhere);
  EXPECT_THAT(elsewhere.error().message,
              HasSubstr("slow.yaml is of the namespace shop, the game day of none"));
}

TEST(GameDay, NoFileOutsideOfItsFolderIsRead) {
  for (const char* path : {"../id_rsa", "a/../../id_rsa", "..", "/etc/shadow"}) {
    bool read = false;
    const auto whole = with_files(
        with_steps("  - {name: b, task: {runbook: {file: \"" + std::string(path) + "\"}}}\n"),
        "d.yaml", [&](const std::string&) -> Result<std::string> {
          read = true;
          return std::string("secret");
        });
    ASSERT_FALSE(whole) << path;
    EXPECT_THAT(whole.error().message, HasSubstr("leads out of the folder of the game day"));
    EXPECT_FALSE(read) << path;
  }
}

TEST(Runbook, ItsNumberedStepsAreItems) {
  EXPECT_THAT(runbook_steps("# Slow payments\n\nRead first.\n1. Look at\n   the graph\n2) Roll "
                            "back\r\n\n   3.  Tell them\n## After\nnot this\n    4. nor this\n"),
              ElementsAre("Look at the graph", "Roll back", "Tell them"));
  EXPECT_THAT(runbook_steps("1. a\n```\n2. in code\n```\n2. b\n"),
              ElementsAre("a 2. in code", "b"));
  EXPECT_THAT(runbook_steps("1.\n1.x\n99999. y\n- z\n12."), testing::IsEmpty());
  EXPECT_THAT(runbook_steps(""), testing::IsEmpty());
}

TEST(Runbook, AHostileOneStaysSmall) {
  std::string many;
  for (int i = 0; i < 5000; ++i) many += std::to_string(i % 10) + ". x\n";
  EXPECT_EQ(runbook_steps(many).size(), kMostRunbookSteps);
  const auto wide =
      runbook_steps("1. " + std::string(1 << 20, 'x') + "\n" + std::string(1 << 20, 'y'));
  ASSERT_EQ(wide.size(), 1U);
  EXPECT_EQ(wide[0].size(), kMostRunbookItem);
  std::string umlauts = "1. a";
  for (int i = 0; i < 4000; ++i) umlauts += "\xc3\xa4";
  EXPECT_TRUE(is_utf8(runbook_steps(umlauts)[0]));
  std::string lines = "1. a\n";
  for (int i = 0; i < 100000; ++i) lines += "more\n";
  EXPECT_LE(runbook_steps(lines)[0].size(), kMostRunbookItem);
}

// In kDay, `old` becomes `now`; parser and schema both refuse it.
struct Change {
  std::string_view old, now;
};
constexpr Change kRefused[] = {
    {"faultline.dev/v1alpha1", "v1"},
    {"kind: GameDay", "kind: Experiment"},
    {"title: Payments is slow", "title: \"\""},
    {"  title: Payments is slow\n", ""},
    {"owner: shop", "ownr: shop"},
    {"[jane]", "jane"},
    {"[jane]", "[]"},
    {"2026-12-01T09:00:00Z", "2026-12-01"},
    {"[agents, targets]", "[agent]"},
    {"name: briefing", "name: Briefing"},
    {"name: briefing", "nam: briefing"},
    {"waitFor: {person: Everybody is here}", "waitFor: {}"},
    {"waitFor: {person: Everybody is here}", "note: x\n    waitFor: {person: x}"},
    {"surprise: true", "surprise: 1"},
    {"onMiss: continue", "onMiss: stop"},
    {"deadline: 5m", "deadline: 5"},
    {"    experiment:\n      spec:", "    experiment:\n      file: a.yaml\n      spec:"},
    {"role: commander", "role: boss"},
    {"otherwise: missed", "otherwise: lost"},
    {"{step: slow, is: [met, missed]}", "{step: slow}"},
    {"{step: slow, is: [met, missed]}", "{step: slow, is: []}"},
    {"repeat: 3", "repeat: 0"},
    {"repeat: 3", "repeat: 101"},
    {"pause: 20s", "pause: 0s"},
    {"pause: 20s", "pause: 20"},
    {"state: silent", "state: quiet"},
    {"labels: {severity: page}", "labels: {}"},
    {"note: That was it", "note: \"\""},
};

TEST(GameDaySchema, RefusesWhatTheParserRefuses) {
  SchemaCheck check(gameday_schema());
  const auto day = parse_gameday(kDay, "d");
  ASSERT_TRUE(day) << day.error().message;
  check.text(kDay, true);
  boost::json::value written = to_json(*day);
  // Where a sweep varies there is a place holder in what was read; a person writes none.
  check.value(written, true);
  for (const Change& change : kRefused) {
    const std::string text = changed(change.old, change.now);
    EXPECT_FALSE(parse_gameday(text, "f")) << change.old << " -> " << change.now;
    check.text(text, false);
  }
  check.run();
}

TEST(GameDaySchema, EveryKeyHasHelpAndIsInTheDocumentation) {
  std::ifstream in(test::source_dir() / "docs/gameday.md");
  std::stringstream text;
  text << in.rdbuf();
  const auto schema = gameday_schema();
  for (const char* type : {"GameDay", "GameDaySpec", "GameDayRoles", "DayWindow", "Step",
                           "StepWhen", "StepExperiment", "StepTask", "Runbook", "StepWait"})
    for (const auto& [key, field] : schema.at("$defs").at(type).at("properties").as_object()) {
      EXPECT_THAT(text.str(), HasSubstr("`" + std::string(key) + "`")) << type;
      EXPECT_TRUE(field.as_object().contains("description")) << type << "." << key;
    }
}

TEST(GameDay, ExamplesAreValid) {
  const auto folder = test::source_dir() / "docs/examples/gamedays";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "there are none yet";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    std::ifstream in(entry.path());
    std::stringstream text;
    text << in.rdbuf();
    if (!says_gameday(text.str())) continue;
    const auto whole = with_files(text.str(), entry.path().filename().string(),
                                  [&](const std::string& path) -> Result<std::string> {
                                    std::ifstream file(entry.path().parent_path() / path);
                                    if (!file) return fail(Errc::kInvalid, path + ": is not there");
                                    std::stringstream content;
                                    content << file.rdbuf();
                                    return content.str();
                                  });
    ASSERT_TRUE(whole) << whole.error().message;
    const auto day = parse_gameday(*whole, entry.path().filename().string());
    EXPECT_TRUE(day) << day.error().message;
  }
}

DayEntry entry() {
  DayEntry one{.number = 3, .kind = EntryKind::tick, .who = "jane", .role = DayRole::commander};
  one.at.value = UtcTime(std::chrono::seconds(1795428902));
  one.recordedAt.value = UtcTime(std::chrono::seconds(1795428990));
  one.via = "cli";
  one.key = "0123456789abcdef";
  one.step = "mend";
  one.item = 2;
  one.good = true;
  one.outcome = StepOutcome::met;
  one.seconds = 1.5;
  one.action = ActionItem{"mend it", "shop", "2026-12-31", "slow"};
  return one;
}

template <class T>
void reads_back(const T& value) {
  const std::string text = to_json_text(value);
  const auto back = from_json_text<T>(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(to_json_text(*back), text);
}

TEST(GameDayRecord, ReadsBackWhatWasWritten) {
  GameDayRecord record{.day = "pay-1", .document = *parse_gameday(kDay, "d")};
  record.state = DayState::held;
  record.entries = {entry()};
  record.gaps.resize(1);
  reads_back(record);
  reads_back(testing_words::hostile_as_sent(record));
  GameDayView view{.day = "pay-1", .name = "pay", .namespace_ = "shop", .title = "t"};
  view.steps = {
      {.name = "mend", .kind = "task", .state = "running", .items = {"a"}, .ticked = {1}}};
  view.entries = {entry()};
  reads_back(view);
  reads_back(entry());
  reads_back(std::vector<GameDaySummary>{{.day = "pay-1", .name = "pay"}});
  GameDayPlan plan{.leastSeconds = 5};
  plan.steps = {{.step = "slow", .experiment = "pay-slow", .problem = "none"}};
  reads_back(plan);
  EXPECT_EQ(to_json(view).at("namespace"), "shop");
}

TEST(GameDayRecord, KindsAreWordsOfTheInterface) {
  DayEntry one = entry();
  one.kind = EntryKind::step_begun;
  EXPECT_EQ(to_json(one).at("kind"), "step-begun");
}

TEST(DayWord, IsStrictAndHasAKey) {
  EXPECT_TRUE(
      from_json_text<DayWord>(R"({"kind": "note", "key": "0123456789abcdef", "text": "x"})"));
  const auto refused = [](const char* text) {
    const auto word = from_json_text<DayWord>(text);
    EXPECT_FALSE(word) << text;
    return word ? "" : word.error().message;
  };
  EXPECT_THAT(refused(R"({"kind": "note", "text": "x"})"),
              HasSubstr("missing required key \"key\""));
  EXPECT_THAT(refused(R"({"kind": "note", "key": "short"})"), HasSubstr("8 to 64 letters"));
  EXPECT_THAT(refused(R"({"kind": "note", "key": "0123456789abcdef", "txt": "x"})"),
              HasSubstr("did you mean \"text\"?"));
  EXPECT_THAT(refused(R"({"kind": "notes", "key": "0123456789abcdef"})"),
              HasSubstr("did you mean \"note\"?"));
  EXPECT_THAT(refused(R"({"kind": "tick", "key": "0123456789abcdef", "item": -1})"),
              HasSubstr("item"));
  EXPECT_THAT(
      refused(
          R"({"kind": "action", "key": "0123456789abcdef", "action": {"text": "x", "due": "soon"}})"),
      HasSubstr("a date like"));
}

}  // namespace
}  // namespace faultline::api
