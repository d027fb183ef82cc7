// SPDX-License-Identifier: Apache-2.0
#include "cli/convert/convert.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "api/codec.h"
#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

using Kind = ChaosKind;
constexpr std::array kKinds{
    Kind{"NetworkChaos", "networkChaos", convert_network, ""},
    Kind{"IOChaos", "ioChaos", convert_io, ""},
    Kind{"StressChaos", "stressChaos", convert_stress, ""},
    Kind{"PodChaos", "podChaos", convert_pod, ""},
    Kind{"DNSChaos", "dnsChaos", convert_dns, ""},
    Kind{"KernelChaos", "kernelChaos", convert_kernel, ""},
    Kind{"TimeChaos", "timeChaos", nullptr, "clocks are never changed"},
    Kind{"HTTPChaos", "httpChaos", nullptr,
         "requests are not read; use networkLatency, tcpReset or socketError on the port"},
    Kind{"JVMChaos", "jvmChaos", nullptr,
         "nothing enters a process; use syscallError or syscallLatency"},
    Kind{"BlockChaos", "blockChaos", nullptr,
         "block devices are not touched; use syscallLatency on the volume's path"},
    Kind{"AWSChaos", "awsChaos", nullptr, "clouds are not called"},
    Kind{"AzureChaos", "azureChaos", nullptr, "clouds are not called"},
    Kind{"GCPChaos", "gcpChaos", nullptr, "clouds are not called"},
    Kind{"PhysicalMachineChaos", "physicalmachineChaos", nullptr,
         "only pods are hit; use a pods file for one machine"},
    Kind{"PhysicalMachine", "", nullptr, "only pods are hit"},
    Kind{"Workflow", "workflow", nullptr,
         "nothing here starts by the clock; convert the Workflow itself into a game day"},
    Kind{"StatusCheck", "", nullptr, "use expect and abortWhen"},
    Kind{"RemoteCluster", "", nullptr, "an experiment runs in the cluster it is applied to"},
};

constexpr std::size_t kMostDocuments = 1000;

}  // namespace

const ChaosKind* find_kind(std::string_view name) {
  const auto* found = std::ranges::find(kKinds, name, &Kind::name);
  return found == kKinds.end() ? nullptr : found;
}

std::string dns_label(std::string_view name, std::size_t most) {
  std::string out;
  for (const char c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!out.empty() && out.back() != '-')
      out += '-';
  if (out.size() > most) out.resize(most);
  while (out.ends_with('-')) out.pop_back();
  return out.empty() ? "experiment" : out;
}

namespace {

std::map<std::string, std::string> texts(const Node& node) {
  std::map<std::string, std::string> out;
  if (node.given() && !node.value()->is_object()) node.left_out("expected a map");
  if (node.given() && node.value()->is_object())
    for (const auto& [key, value] : node.value()->get_object())
      if (const auto text = node[key].text()) out[std::string(key)] = *text;
  node.read_all();
  return out;
}

// What else has to allow it, where all pods that match are hit.
void note_all(const Node& mode, const api::ExperimentSpec& spec) {
  if (spec.target.mode != api::Mode::all) return;
  mode.note(
      "all pods that match are hit if they are at most limits.maxPods (5 here): raise it to "
      "their number on purpose. In a cluster the policy has its own word: maxPods, and "
      "maxPercentOfWorkload, which is 50 as installed and has to be 100 for a whole workload");
}

}  // namespace

bool convert_spec(Source& source, const Node& spec, const ChaosKind& kind, Draft& draft) {
  convert_common(spec, draft);
  kind.convert(spec, draft);
  if (draft.at_target) draft.at_target->phases = draft.spec.phases;
  if (!draft.at_target || !draft.spec.faults.empty()) note_all(spec["mode"], draft.spec);
  if (draft.at_target) note_all(spec["target"]["mode"], *draft.at_target);
  report_rows(spec, kind.name);
  // Misspelt, it may be what narrows the rest.
  if (source.report_unread(spec, kind.name,
                           "; without it more could be hit, so the document is left out"))
    draft.unsafe = true;
  return !draft.unsafe;
}

std::vector<api::ExperimentSpec> experiments_of(Draft draft) {
  std::vector<api::ExperimentSpec> out;
  if (!draft.spec.faults.empty()) out.push_back(std::move(draft.spec));
  if (draft.at_target && !draft.at_target->faults.empty())
    out.push_back(std::move(*draft.at_target));
  return out;
}

void convert_metadata(const Node& node, api::Metadata& out) {
  const Node name = node["name"], generate = node["generateName"];
  const std::string word = name.text().value_or(generate.text().value_or(""));
  out.name = dns_label(word, 63);
  if (word.empty())
    node.missing("name", "it is called experiment");
  else if (out.name != word)
    (name.given() ? name : generate).note("an experiment's name is one DNS label: " + out.name);
  if (const auto space = node["namespace"].text()) out.namespace_ = *space;
  out.labels = texts(node["labels"]);
  const Node notes = node["annotations"];
  out.annotations = texts(notes);
  const std::string_view pause = "experiment.chaos-mesh.org/pause";
  if (const auto it = out.annotations.find(std::string(pause)); it != out.annotations.end()) {
    if (it->second == "true")
      notes[pause].left_out("an experiment does not pause; stop it, and apply it again");
    else
      notes[pause].note("is no pause, and an experiment has none");
    out.annotations.erase(it);
  }
  out.annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
  // What only the API server writes says nothing of the experiment.
  for (const char* key :
       {"uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields",
        "ownerReferences", "finalizers", "deletionTimestamp", "deletionGracePeriodSeconds"}) {
    const Node server = node[key];
    if (server.given()) server.note("is the API server's; an experiment gets its own");
    server.read_all();
  }
}

namespace {

// Of the second of two experiments that one manifest becomes.
std::string name_at_target(const std::string& name) {
  const std::string tail = "-at-target";
  return dns_label(name.substr(0, 63 - tail.size()), 63) + tail;
}

bool is_toolkit(const Node& root) {
  const auto* object = root.value() == nullptr ? nullptr : root.value()->if_object();
  return object != nullptr && !object->contains("apiVersion") && !object->contains("kind") &&
         (object->contains("method") || object->contains("steady-state-hypothesis"));
}

class File {
 public:
  File(std::string_view file, Conversion& out) : file_(file), out_(out) {}

  void document(const document::YamlDocument& document) {
    Source source(file_, document, out_.findings);
    manifest(source, source.node(document.value, ""));
  }

 private:
  // Why the document is none of Chaos Mesh, with the nearest word.
  static std::string no_kind(const std::optional<std::string>& version,
                             const std::optional<std::string>& kind) {
    if (!kind) return "has no kind; left out";
    std::string text = "is a " + *kind + " of " + version.value_or("no apiVersion") +
                       ", no kind of Chaos Mesh; left out";
    const std::string word = nearest_kind(*kind);
    if (word.empty()) return text;
    const bool ours = version && version->starts_with("chaos-mesh.org/");
    return text + "; did you mean " + word + (ours ? "?" : " of chaos-mesh.org/v1alpha1?");
  }
  // IoChaos is what old versions called IOChaos. A Workflow of others is none of these.
  static std::string nearest_kind(const std::string& kind) {
    std::vector<std::string_view> kinds;
    for (const Kind& one : kKinds)
      if (one.name.ends_with("Chaos")) kinds.push_back(one.name);
    const auto same = [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) ==
             std::tolower(static_cast<unsigned char>(b));
    };
    for (const std::string_view word : kinds)
      if (std::ranges::equal(kind, word, same)) return std::string(word);
    return api::nearest_word(kind, kinds);
  }

  void manifest(Source& source, const Node& root) {
    if (is_toolkit(root)) return day(source, root, convert_toolkit(source, root));
    const auto version = root["apiVersion"].text();
    const auto kind = root["kind"].text();
    if (version == "v1" && kind == "List") {
      for (const Node& item : root["items"].items()) manifest(source, item);
      root["metadata"].read_all();
      source.report_unread(root, "List");
      return;
    }
    const Kind* known = find_kind(kind.value_or(""));
    if (!version || !version->starts_with("chaos-mesh.org/") || !kind ||
        (known == nullptr && kind != "Schedule")) {
      root.left_out(no_kind(version, kind));
      return;
    }
    if (kind == "Workflow") return day(source, root, convert_workflow(source, root));
    Node spec = root["spec"];
    std::string name = *kind;
    if (kind == "Schedule") {
      name = spec["type"].text().value_or("");
      known = find_kind(name);
      report_rows(spec, "Schedule");
      if (known == nullptr || known->key.empty())
        return spec["type"].given()
                   ? spec["type"].left_out("is no kind that a Schedule may hold; left out" +
                                           (nearest_kind(name).empty()
                                                ? ""
                                                : "; did you mean " + nearest_kind(name) + "?"))
                   : spec.missing("type", "left out");
    }
    if (known->convert == nullptr)
      return (kind == "Schedule" ? spec["type"] : root["kind"])
          .left_out(name + " has no equivalent and is left out: " + std::string(known->instead));
    if (kind == "Schedule") spec = spec[known->key];
    if (!spec.given()) return root.missing("spec", "left out");
    experiment(source, root, spec, *known);
  }

  // Nothing: why was said. What comes out is read as a person's file is.
  void day(Source& source, const Node& root, std::optional<api::GameDay> made) {
    if (!made) return;
    if (const auto valid = api::parse_gameday(api::to_yaml(*made), "it"); !valid)
      return root.left_out("the game day would not be valid: " + valid.error().message);
    out_.days.push_back({std::string(file_), source.line(root.path()), std::move(*made)});
  }

  void experiment(Source& source, const Node& root, const Node& spec, const Kind& kind) {
    api::Experiment out;
    out.apiVersion = "faultline.dev/v1alpha1";
    out.kind = "Experiment";
    convert_metadata(root["metadata"], out.metadata);
    if (const Node status = root["status"]; status.given()) {
      status.note("is what became of it; an experiment gets its own");
      status.read_all();
    }
    Draft draft;
    draft.space = out.metadata.namespace_;
    if (draft.space.empty()) draft.space = "default";
    const bool whole = convert_spec(source, spec, kind, draft);
    const Node names = spec["selector"]["namespaces"];
    if (out.metadata.namespace_.empty() && !names.given() &&
        !draft.spec.target.selector.namespaces.empty())
      root["metadata"]["namespace"].note(
          "not given, and no namespaces are selected: pods of the namespace default are hit");
    source.report_unread(root, kind.name);
    if (!whole) return;  // said where it is
    const std::string name = out.metadata.name;
    std::vector<api::ExperimentSpec> made = experiments_of(std::move(draft));
    if (made.empty()) return root["spec"].left_out("no fault is left, so there is no experiment");
    // All or none: half of what a manifest asks is another fault.
    std::vector<api::Experiment> both;
    for (api::ExperimentSpec& spec_of : made) {
      if (!both.empty()) out.metadata.name = name_at_target(name);
      out.spec = std::move(spec_of);
      if (const auto valid = api::validate(out); !valid)
        return root["spec"].left_out("the experiment would not be valid: " + valid.error().message);
      both.push_back(out);
    }
    for (api::Experiment& one : both)
      out_.experiments.push_back({std::string(file_), source.line(root.path()), std::move(one)});
  }

  std::string_view file_;
  Conversion& out_;
};

}  // namespace

std::string Finding::text() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line);
  out += note ? ": note: " : ": ";
  if (!field.empty()) out += field + ": ";
  for (const char c : why) out += c == '\n' ? ';' : c;
  return out;
}

bool Conversion::complete() const { return std::ranges::all_of(findings, &Finding::note); }

Result<Conversion> convert_chaos_mesh(std::string_view text, std::string_view file) {
  const auto documents = document::read_documents(text, file, {{}, kMostDocuments, false});
  if (!documents) return fail(documents.error());
  if (documents->empty())
    return fail(Errc::kInvalid, std::string(file) + ": there is no document in it");
  Conversion out;
  for (const document::YamlDocument& document : *documents) {
    const auto before = static_cast<std::ptrdiff_t>(out.findings.size());
    File(file, out).document(document);
    std::stable_sort(out.findings.begin() + before, out.findings.end(),
                     [](const Finding& a, const Finding& b) { return a.line < b.line; });
  }
  return out;
}

}  // namespace faultline::cli
