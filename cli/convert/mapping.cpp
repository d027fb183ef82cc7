// SPDX-License-Identifier: Apache-2.0
#include "cli/convert/mapping.h"

#include <algorithm>
#include <array>
#include <string>

#include "cli/convert/convert.h"

namespace faultline::cli {
namespace {

constexpr std::string_view kHitsMore =
    "without it more pods would be hit, so the document is left out; use labelSelectors or pods";
constexpr std::string_view kOptions =
    "options of stress-ng have no meaning here; the pressure is made another way";
constexpr std::string_view kNoAttributes =
    "attributes of files are never changed; use action fault on getattr";
constexpr std::string_view kNoMistakes =
    "data that is read or written is never changed; use action fault with an errno";
constexpr std::string_view kNoSchedule =
    "nothing here starts by the clock; let a CronJob apply the experiment";

constexpr std::array kRows{
    // every kind
    FieldRow{"", "selector.namespaces", "target.selector.namespaces",
             "not given: the namespace of the manifest, else `default`"},
    FieldRow{"", "selector.labelSelectors", "target.selector.labelSelectors", ""},
    FieldRow{"", "selector.pods", "target.selector.pods",
             "as in Chaos Mesh, the other selectors have no effect beside it"},
    FieldRow{"", "selector.nodes", "target.selector.nodes", ""},
    FieldRow{"", "selector.nodeSelectors", "target.selector.nodes",
             "`kubernetes.io/hostname` becomes the name of a node; another label leaves the "
             "document out"},
    FieldRow{"", "selector.expressionSelectors", "target.selector.labelSelectors",
             "`In` with one value becomes a label; another expression leaves the document out"},
    FieldRow{"", "selector.fieldSelectors", "target.selector",
             "`metadata.namespace` and `spec.nodeName` are namespace and node; another field "
             "leaves the document out"},
    FieldRow{"", "selector.annotationSelectors", "", kHitsMore},
    FieldRow{"", "selector.podPhaseSelectors", "target.selector",
             "`Running` is what is hit anyway; another phase leaves the document out"},
    FieldRow{"", "mode", "target.mode",
             "the same words; `limits` are raised to what the mode asks for, and for `all` a note "
             "says what else has to allow it"},
    FieldRow{"", "value", "target.value", ""},
    FieldRow{"", "containerNames", "target.containerNames",
             "not given: the document is left out, since Chaos Mesh takes the first container and "
             "all would be hit; name it. With those of `DNSChaos` the document is left out: "
             "containers share their pod's network"},
    FieldRow{"", "duration", "phases.fault",
             "not given: 30 s, where Chaos Mesh goes on until it is deleted (a note says so); "
             "`pod-kill` and `container-kill` happen once"},
    FieldRow{"", "remoteCluster", "",
             "an experiment runs in the cluster it is applied to, and pods of this one would be "
             "hit; apply it there; the document is left out"},
    FieldRow{"", "scheduler", "", kNoSchedule},
    // NetworkChaos
    FieldRow{"NetworkChaos", "action", "faults",
             "`partition` and `bandwidth` are faults; with the others every given parameter "
             "becomes one, as in Chaos Mesh"},
    FieldRow{"NetworkChaos", "device", "",
             "faults are on the pod's own interface, eth0; the traffic of another one was not "
             "meant, so the document is left out"},
    FieldRow{"NetworkChaos", "targetDevice", "",
             "faults are on the pod's own interface, eth0; the traffic of another one was not "
             "meant, so the document is left out"},
    FieldRow{"NetworkChaos", "partitionBehavior", "",
             "`drop` is what is done; with `reject` the fault is left out, since packets vanish "
             "and nobody is told; use tcpReset, or socketError with ECONNREFUSED"},
    FieldRow{"NetworkChaos", "direction", "direction, target",
             "done at the end where Chaos Mesh does it: see At which end"},
    FieldRow{"NetworkChaos", "target.selector", "peer, target.selector",
             "a selector as above; whose faults are where: see At which end"},
    FieldRow{"NetworkChaos", "target.mode", "peer, target.mode",
             "as a peer `all`, or as many as `target.selector.pods` names; with another mode what "
             "the target limits is left out, since every pod that matches would be a peer"},
    FieldRow{"NetworkChaos", "target.value", "target.value",
             "where the faults are at the target's pods"},
    FieldRow{"NetworkChaos", "externalTargets", "cidrs, peerPorts",
             "addresses and networks, each with a port if it has one, in a fault of their own "
             "beside that of `target`; names are not looked up. Left out where Chaos Mesh refuses "
             "them: all actions but `partition` with `from` and `both`"},
    FieldRow{"NetworkChaos", "delay.latency", "networkLatency.latency",
             "at most 10 s; with more the fault is left out"},
    FieldRow{"NetworkChaos", "delay.jitter", "networkLatency.jitter",
             "uniform, as netem does it; at most latency"},
    FieldRow{"NetworkChaos", "delay.correlation", "networkLatency.correlation", ""},
    FieldRow{"NetworkChaos", "delay.reorder.reorder", "networkReorder.reorder",
             "netem lets this part through at once and holds the rest back for latency: `reorder` "
             "is the rest"},
    FieldRow{"NetworkChaos", "delay.reorder.correlation", "networkReorder.correlation", ""},
    FieldRow{"NetworkChaos", "delay.reorder.gap", "networkReorder",
             "0 and 1 are what is done; packets are not counted for more"},
    FieldRow{"NetworkChaos", "loss.loss", "networkLoss.loss", ""},
    FieldRow{"NetworkChaos", "loss.correlation", "networkLoss.correlation", ""},
    FieldRow{"NetworkChaos", "duplicate.duplicate", "networkDuplicate.duplicate", ""},
    FieldRow{"NetworkChaos", "duplicate.correlation", "networkDuplicate.correlation", ""},
    FieldRow{"NetworkChaos", "corrupt.corrupt", "networkCorrupt.corrupt", ""},
    FieldRow{"NetworkChaos", "corrupt.correlation", "networkCorrupt.correlation", ""},
    FieldRow{"NetworkChaos", "bandwidth.rate", "networkBandwidth.rate",
             "the same units: bps are bytes"},
    FieldRow{"NetworkChaos", "bandwidth.buffer", "networkBandwidth.burst", ""},
    FieldRow{"NetworkChaos", "bandwidth.limit", "",
             "how much may wait is chosen from the rate; leave it out"},
    FieldRow{"NetworkChaos", "bandwidth.peakrate", "", "there is one rate; use a smaller burst"},
    FieldRow{"NetworkChaos", "bandwidth.minburst", "", "there is one rate; use a smaller burst"},
    FieldRow{"NetworkChaos", "rate.rate", "networkBandwidth.rate", ""},
    // IOChaos
    FieldRow{"IOChaos", "action", "faults", "`latency` and `fault`; the others have no equivalent"},
    FieldRow{"IOChaos", "delay", "syscallLatency.latency",
             "at most 10 s; with more the fault is left out"},
    FieldRow{"IOChaos", "errno", "syscallError.errno", "by its name"},
    FieldRow{"IOChaos", "attr.ino", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.size", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.blocks", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.atime", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.mtime", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.ctime", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.kind", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.perm", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.nlink", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.uid", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.gid", "", kNoAttributes},
    FieldRow{"IOChaos", "attr.rdev", "", kNoAttributes},
    FieldRow{"IOChaos", "mistake.filling", "", kNoMistakes},
    FieldRow{"IOChaos", "mistake.maxOccurrences", "", kNoMistakes},
    FieldRow{"IOChaos", "mistake.maxLength", "", kNoMistakes},
    FieldRow{"IOChaos", "path", "path",
             "`/dir/**/*` is all below /dir; one `*` in the last part stays; other patterns leave "
             "the fault out"},
    FieldRow{"IOChaos", "methods", "syscalls",
             "the system calls that come to each method; not given: all of them"},
    FieldRow{"IOChaos", "percent", "probability", ""},
    FieldRow{"IOChaos", "volumePath", "path", "where there is no path"},
    // StressChaos
    FieldRow{"StressChaos", "stressors.cpu.workers", "cpuPressure.workers", "at most 1024"},
    FieldRow{"StressChaos", "stressors.cpu.load", "cpuPressure.load", ""},
    FieldRow{"StressChaos", "stressors.cpu.options", "", kOptions},
    FieldRow{"StressChaos", "stressors.memory.workers", "memoryPressure.bytes",
             "each worker takes the size: bytes is the sum"},
    FieldRow{"StressChaos", "stressors.memory.size", "memoryPressure.bytes",
             "a part of the memory (25%) has no equivalent; write bytes"},
    FieldRow{"StressChaos", "stressors.memory.oomScoreAdj", "",
             "no process is started whose score could be set; leave it out"},
    FieldRow{"StressChaos", "stressors.memory.options", "", kOptions},
    FieldRow{
        "StressChaos", "stressngStressors", "",
        "words of stress-ng have no meaning here; use stressors (which have no effect beside it)"},
    // PodChaos
    FieldRow{"PodChaos", "action", "faults",
             "`container-kill` is processKill. `pod-kill` too, but the pod stays: delete it with "
             "kubectl to have it replaced. "
             "`pod-failure` is processPause: callers wait, where Chaos Mesh has nothing listen"},
    FieldRow{"PodChaos", "gracePeriod", "processKill.signal",
             "more than 0: SIGTERM, with no SIGKILL after it"},
    // DNSChaos
    FieldRow{"DNSChaos", "action", "dnsError.rcode",
             "`error` is SERVFAIL; `random` has no equivalent"},
    FieldRow{"DNSChaos", "patterns", "dnsError.names",
             "`*` means the same; a pattern with `?` is left out"},
    // KernelChaos
    FieldRow{"KernelChaos", "failKernRequest.failtype", "syscallError.errno",
             "what fails is the system call, not the allocation in it: memory calls with ENOMEM "
             "(0, 1), reads and writes with EIO (2)"},
    FieldRow{"KernelChaos", "failKernRequest.headers", "", "nothing is compiled; leave it out"},
    FieldRow{"KernelChaos", "failKernRequest.callchain.funcname", "syscallError.syscalls",
             "the function of a system call (__x64_sys_openat); another one leaves the fault out"},
    FieldRow{"KernelChaos", "failKernRequest.callchain.parameters", "",
             "only predicates need it; leave it out"},
    FieldRow{"KernelChaos", "failKernRequest.callchain.predicate", "",
             "without it more would fail, so the fault is left out; use path or process"},
    FieldRow{"KernelChaos", "failKernRequest.probability", "syscallError.probability", ""},
    FieldRow{"KernelChaos", "failKernRequest.times", "syscallError.count", ""},
    // Schedule
    FieldRow{"Schedule", "schedule", "", kNoSchedule},
    FieldRow{"Schedule", "startingDeadlineSeconds", "", kNoSchedule},
    FieldRow{"Schedule", "concurrencyPolicy", "", kNoSchedule},
    FieldRow{"Schedule", "historyLimit", "", kNoSchedule},
    FieldRow{"Schedule", "type", "faults",
             "the kind that is in it; its spec becomes the experiment"},
    // Workflow: rows of what becomes a step of a game day
    FieldRow{"Workflow", "entry", "steps", "the template where it begins"},
    FieldRow{"Workflow", "templates[].name", "steps[].name",
             "one DNS label of 40 characters; a template that is used again gets a number"},
    FieldRow{"Workflow", "templates[].templateType", "steps[]",
             "`Serial`, `Parallel`, `Suspend`, the kinds of faults above; another one leaves the "
             "template out"},
    FieldRow{"Workflow", "templates[].children", "serial, parallel",
             "what is left out is not in its group; a template that contains itself is left out"},
    FieldRow{"Workflow", "templates[].deadline", "pause, phases.fault, deadline",
             "of `Suspend` the pause (not given: somebody says that the day goes on); of a fault "
             "how long it acts; of others the deadline, longer by the baseline and recovery of "
             "its experiments"},
    FieldRow{"Workflow", "templates[].<kind>", "experiment.spec", "as the kind alone"},
    FieldRow{"Workflow", "templates[].schedule", "experiment",
             "once: nothing here starts by the clock"},
    FieldRow{"Workflow", "templates[].task", "task",
             "no container is run here: a person does it (told)"},
    FieldRow{"Workflow", "templates[].conditionalBranches", "when",
             "`exitCode == 0` is done or met, `exitCode != 0` missed or failed; with another "
             "expression the branch is left out, since it would be done always"},
    FieldRow{"Workflow", "templates[].statusCheck", "waitFor.person",
             "no address is fetched here: a person confirms it (told)"},
    FieldRow{"Workflow", "templates[].abortWithStatusCheck", "onMiss", "true is `abort`"},
    // Chaos Toolkit: of the document itself
    FieldRow{"Chaos Toolkit", "title", "title, metadata.name", ""},
    FieldRow{"Chaos Toolkit", "description", "note", "the first step"},
    FieldRow{"Chaos Toolkit", "version", "", "is the version of the Chaos Toolkit's words"},
    FieldRow{"Chaos Toolkit", "steady-state-hypothesis", "hypothesis, steps",
             "its probes before (a miss aborts) and after the method"},
    FieldRow{"Chaos Toolkit", "method", "steps",
             "a probe with a tolerance is `waitFor.person`, another one and an action a `task`, of "
             "10 minutes each; nothing is called or run here (told)"},
    FieldRow{"Chaos Toolkit", "method[].ref", "steps", "the activity of that name once more"},
    FieldRow{"Chaos Toolkit", "method[].pauses", "pause", "before and after, in seconds"},
    FieldRow{"Chaos Toolkit", "method[].background", "",
             "steps are done one after the other; use parallel"},
    FieldRow{"Chaos Toolkit", "rollbacks", "steps", "tasks at the end; faults end by themselves"},
    FieldRow{"Chaos Toolkit", "tags", "", "a day has no tags; use metadata.labels"},
    FieldRow{"Chaos Toolkit", "contributions", "", "a day has no such thing; use metadata.labels"},
    FieldRow{"Chaos Toolkit", "configuration", "",
             "nothing is filled in: write the values where they are used"},
    FieldRow{"Chaos Toolkit", "secrets", "", "nothing is called here that would need them"},
    FieldRow{"Chaos Toolkit", "controls", "", "no code runs beside a day"},
    FieldRow{"Chaos Toolkit", "extensions", "", "no code runs beside a day"},
    FieldRow{"Chaos Toolkit", "runtime", "",
             "what is not met before the method aborts the day; the rest is done in its order"},
    FieldRow{"Chaos Toolkit", "dry", "", "use `faultline gameday plan`"},
};

constexpr std::string_view kKinds[] = {"",         "NetworkChaos", "IOChaos",     "StressChaos",
                                       "PodChaos", "DNSChaos",     "KernelChaos", "Schedule",
                                       "Workflow", "Chaos Toolkit"};

}  // namespace

std::span<const FieldRow> field_rows() { return kRows; }

std::string_view why_not(std::string_view kind, std::string_view field) {
  for (const FieldRow& row : kRows)
    if (row.field == field && row.becomes.empty() && (row.kind == kind || row.kind.empty()))
      return row.note;
  return {};
}

std::string mapping_page() {
  std::string out;
  for (const std::string_view kind : kKinds) {
    out += "\n### " + std::string(kind.empty() ? "Every kind" : kind) + "\n\n| field" +
           (kind == "Chaos Toolkit" ? "" : " of `spec`") +
           " | becomes | how, or why not |\n|---|---|---|\n";
    for (const FieldRow& row : kRows) {
      if (row.kind != kind) continue;
      const std::string becomes = row.becomes.empty() ? "-" : "`" + std::string(row.becomes) + "`";
      out += "| `" + std::string(row.field) + "` | " + becomes + " | " + std::string(row.note) +
             " |\n";
    }
  }
  return out;
}

}  // namespace faultline::cli
