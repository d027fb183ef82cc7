// SPDX-License-Identifier: Apache-2.0
#include "tests/vm/grounds.h"

#include <algorithm>
#include <boost/property_tree/ptree.hpp>
#include <boost/property_tree/xml_parser.hpp>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>

#include "api/codec.h"

namespace faultline::grounds {
namespace {

using Kind = Outcome::Kind;

Result<std::string> read_file(const std::filesystem::path& path) {
  std::ifstream in(path);
  if (!in) return fail(Errc::kNotFound, path.string() + ": cannot be read");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// GoogleTest prints "FILE:LINE: Skipped", and the words of GTEST_SKIP() on the next line.
std::string skip_reason(const std::string& output) {
  constexpr std::string_view kMark = ": Skipped\n", kNeeds = "needs: ";
  const auto at = output.find(kMark);
  if (at == std::string::npos) return {};
  std::string words = output.substr(at + kMark.size());
  words.resize(std::min(words.size(), words.find('\n')));
  return words.starts_with(kNeeds) ? words.substr(kNeeds.size()) : std::string();
}

std::set<std::string> all_tests(const std::vector<Ground>& grounds) {
  std::set<std::string> names;
  for (const Ground& ground : grounds)
    for (const auto& [name, outcome] : ground.tests) names.insert(name);
  return names;
}

void judge_ground(const Ground& ground, const std::set<std::string>& names,
                  std::vector<std::string>& all) {
  bool failed = false;
  const std::regex chosen(ground.chosen);  // an empty one is found everywhere
  for (const std::string& name : names) {
    const auto found = ground.tests.find(name);
    if (found == ground.tests.end()) {
      if (!std::regex_search(name, chosen)) continue;
      all.push_back(ground.name + ": " + name + " was not run");
      continue;
    }
    const Outcome& outcome = found->second;
    if (outcome.kind == Kind::kFailed) {
      failed = true;
      all.push_back(ground.name + ": " + name + " failed\n" + outcome.output);
    }
    if (outcome.kind == Kind::kSkipped && outcome.reason.empty())
      all.push_back(ground.name + ": " + name + " was skipped and does not say what it needs");
  }
  if (ground.tests.empty()) all.push_back(ground.name + ": no test was run");
  if (ground.exit == 123)
    all.push_back(ground.name + ": the kernel complained, see the end of the ground's log");
  else if (ground.exit != 0 && !failed)
    all.push_back(ground.name + ": the guest ended with " + std::to_string(ground.exit));
}

}  // namespace

Result<std::map<std::string, Outcome>> parse_junit(const std::string& text) {
  std::map<std::string, Outcome> tests;
  try {
    std::istringstream in(text);
    boost::property_tree::ptree root;
    boost::property_tree::read_xml(in, root);
    for (const auto& [tag, test] : root.get_child("testsuite")) {
      if (tag != "testcase") continue;
      Outcome outcome;
      const auto output = test.get<std::string>("system-out", "");
      if (test.count("skipped") != 0) {
        outcome.kind = Kind::kSkipped;
        outcome.reason = skip_reason(output);
      } else if (test.get<std::string>("<xmlattr>.status") != "run") {
        outcome.kind = Kind::kFailed;
        outcome.output = output;
      }
      tests.emplace(test.get<std::string>("<xmlattr>.name"), std::move(outcome));
    }
  } catch (const boost::property_tree::ptree_error& e) {
    return fail(Errc::kInvalid, std::string("not what ctest --output-junit writes: ") + e.what());
  }
  return tests;
}

Result<Ground> read_ground(const std::filesystem::path& folder) {
  Ground ground{.name = folder.filename(), .tests = {}, .node = {}};
  const auto in_folder = [&](const Error& e) {
    return fail(e.code, ground.name + ": " + e.message);
  };
  const auto xml = read_file(folder / "tests.xml"), probe = read_file(folder / "probe.json");
  if (!xml) return in_folder(xml.error());
  if (!probe) return in_folder(probe.error());
  auto tests = parse_junit(*xml);
  if (!tests) return in_folder(tests.error());
  auto node = api::from_json_text<api::NodeInfo>(*probe);
  if (!node) return in_folder(node.error());
  ground.tests = std::move(*tests);
  ground.node = std::move(*node);
  std::ifstream(folder / "exit") >> ground.exit;
  std::ifstream in(folder / "chosen");
  std::getline(in, ground.chosen);
  return ground;
}

std::vector<std::string> complaints(const std::vector<Ground>& grounds) {
  std::vector<std::string> all;
  const auto names = all_tests(grounds);
  for (const Ground& ground : grounds) judge_ground(ground, names, all);
  for (const std::string& name : names) {
    std::string reasons;
    const bool nowhere = std::ranges::all_of(grounds, [&](const Ground& ground) {
      const auto found = ground.tests.find(name);
      if (found == ground.tests.end()) return true;
      reasons += "\n  " + ground.name + ": " + found->second.reason;
      return found->second.kind == Kind::kSkipped;
    });
    if (nowhere) all.push_back(name + " was skipped on every kernel" + reasons);
  }
  return all;
}

std::string skips(const std::vector<Ground>& grounds) {
  std::ostringstream out;
  for (const Ground& ground : grounds) {
    std::map<std::string, std::vector<std::string>> by_reason;
    for (const auto& [name, outcome] : ground.tests)
      if (outcome.kind == Kind::kSkipped) by_reason[outcome.reason].push_back(name);
    for (const auto& [reason, names] : by_reason) {
      out << ground.name << ": " << names.size() << " skipped, needs " << reason << "\n";
      for (const std::string& name : names) out << "  " << name << "\n";
    }
  }
  return out.str();
}

}  // namespace faultline::grounds
