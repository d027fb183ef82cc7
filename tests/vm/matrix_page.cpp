// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <sstream>

#include "tests/vm/grounds.h"

namespace faultline::grounds {
namespace {

using Kind = Outcome::Kind;

std::string title(const Ground& ground) {
  return ground.name == "native" ? "the machine itself" : "`" + ground.name + "`";
}

void header(std::ostringstream& out, const std::vector<Ground>& grounds, const std::string& first) {
  out << "| " << first << " |";
  for (const Ground& ground : grounds) out << " " << title(ground) << " |";
  out << "\n|---|";
  for (std::size_t i = 0; i < grounds.size(); ++i) out << "---|";
  out << "\n";
}

std::string cell_text(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2)
    text.insert(at, "\\");
  return text;
}

// Numbers the reasons in the order in which they come up; the same words have the same number.
class Reasons {
 public:
  std::string refer(const std::string& reason) {
    auto found = std::ranges::find(said_, reason);
    if (found == said_.end()) found = said_.insert(found, reason);
    return "no (" + std::to_string(found - said_.begin() + 1) + ")";
  }
  void list(std::ostringstream& out) const {
    out << "\n";
    for (std::size_t i = 0; i < said_.size(); ++i) out << i + 1 << ". " << said_[i] << "\n";
  }

 private:
  std::vector<std::string> said_;
};

void kernels(std::ostringstream& out, const std::vector<Ground>& grounds) {
  out << "| kernel | release | tests passed | skipped |\n|---|---|---|---|\n";
  for (const Ground& ground : grounds) {
    const auto count = [&](Kind kind) {
      return std::ranges::count_if(ground.tests,
                                   [&](const auto& t) { return t.second.kind == kind; });
    };
    out << "| " << title(ground) << " | " << ground.node.kernel << " | " << count(Kind::kPassed)
        << " | " << count(Kind::kSkipped) << " |\n";
  }
}

void faults(std::ostringstream& out, const std::vector<Ground>& grounds, Reasons& reasons) {
  header(out, grounds, "fault");
  for (const auto& first : grounds.front().node.faults) {
    out << "| " << first.fault << " |";
    for (const Ground& ground : grounds) {
      const auto& all = ground.node.faults;
      const auto here = std::ranges::find(all, first.fault, &api::FaultSupport::fault);
      out << " ";
      if (here == all.end())
        out << "?";
      else
        out << (here->supported ? cell_text(here->mechanism) : reasons.refer(here->reason));
      out << " |";
    }
    out << "\n";
  }
}

void features(std::ostringstream& out, const std::vector<Ground>& grounds, Reasons& reasons) {
  header(out, grounds, "feature, and what it is for");
  for (const auto& first : grounds.front().node.features) {
    out << "| " << cell_text(first.name) << ": " << cell_text(first.enables) << " |";
    for (const Ground& ground : grounds) {
      const auto& all = ground.node.features;
      const auto here = std::ranges::find(all, first.name, &api::Feature::name);
      out << " ";
      if (here == all.end())
        out << "?";
      else
        out << (here->available ? "yes" : reasons.refer(here->reason));
      out << " |";
    }
    out << "\n";
  }
}

}  // namespace

std::string page(const std::vector<Ground>& grounds) {
  std::ostringstream out;
  out << "# What works on which kernel\n\n"
         "Written by a program from a real run of the kernel tests and of `faultline-agent "
         "--probe` on "
         "each kernel; do not edit.\nAgain, after `sudo scripts/test kernel vm` (the tests of what "
         "can "
         "differ by kernel) or `vm-full` (all tests):\n\n"
         "    build/release/bin/kernel_matrix build/release/grounds --page docs/kernels.md\n\n"
         "`6.1` and `6.12` are Debian 12's, `newest` is of trixie-backports, `errinj` is 6.12 "
         "built "
         "with error injection\n(`scripts/vm`). These four are emulated. The machine itself is the "
         "one "
         "that this page was made on.\n\n";
  if (grounds.empty()) return out.str();
  Reasons reasons;
  kernels(out, grounds);
  out << "\n## Faults, and by which mechanism\n\n";
  faults(out, grounds, reasons);
  out << "\n## Features\n\n";
  features(out, grounds, reasons);
  out << "\n## Why not\n";
  reasons.list(out);
  return out.str();
}

}  // namespace faultline::grounds
