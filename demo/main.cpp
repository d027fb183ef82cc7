// SPDX-License-Identifier: Apache-2.0
// faultline-demo [REPORTS]: shows Faultline on pods of this machine, in four acts.
// faultline-demo --gameday NAME|all [--kill controller|agent] [REPORTS]: runs a day of
// docs/examples/gamedays/, or all of them, with nobody there.
// Run by scripts/demo from the root of the tree; needs root. Exit codes: 0 all was shown as
// claimed, 1 it was not, 5 could not run, 128 + signal when interrupted.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "demo/acts.h"
#include "demo/gameday.h"
#include "demo/program.h"
#include "demo/words.h"
#include "testbed/residue.h"
#include "testbed/test_pod.h"

namespace faultline::demo {
namespace {

namespace fs = std::filesystem;

// Under sudo the reports should belong to the one whose tree this is.
void give_to_owner(const std::string& folder) {
  struct stat tree {};
  if (stat(".", &tree) != 0 || tree.st_uid == 0) return;
  const auto give = [&](const fs::path& path) {
    if (lchown(path.c_str(), tree.st_uid, tree.st_gid) != 0) std::perror(path.c_str());
  };
  give(folder);
  std::error_code ec;
  for (const auto& entry : fs::recursive_directory_iterator(folder, ec)) give(entry.path());
}

std::string count(const std::vector<std::string>& objects, const std::string& kind,
                  const std::string& words) {
  std::size_t n = 0;
  for (const std::string& object : objects) n += object.starts_with(kind + " ") ? 1 : 0;
  return std::to_string(n) + " " + words;
}

bool nothing_left(const testbed::ResidueCheck& residue) {
  heading("What is left");
  const auto left = residue.left();
  for (const std::string& object : left) paragraph("left: " + object);
  bool good =
      claim(left.empty(), "Asked the kernel: " + count(left, "program", "BPF programs") + ", " +
                              count(left, "map", "maps") + " and " + count(left, "link", "links") +
                              " named fl_*, " + count(left, "device", "devices") + " named fl-*.");
  const auto pods = testbed::left_of(getpid());
  for (const std::string& path : pods) paragraph("left: " + path);
  good &= claim(pods.empty(), pods.empty() ? "The pods are gone: no namespace, device, cgroup or "
                                             "folder of theirs is left."
                                           : "Something of the pods is left.");
  return good;
}

struct Wanted {
  std::string day;  // empty: the four acts; "all"
  Killed killed = Killed::kNobody;
  std::string reports = "build/demo-reports";
};

std::string programs() { return fs::read_symlink("/proc/self/exe").parent_path(); }

bool acts(const Wanted& wanted) {
  heading("The shop");
  paragraph("Four pods on this machine: each is a network namespace on a bridge, and a cgroup.");
  std::puts("");
  std::puts("     customers  --->  checkout  --->  payments          catalog");
  std::puts("     wrk, 200/s       nginx, proxy    nginx             nginx, a neighbour");
  const Shop shop;
  const Stage stage{shop, programs(), "demo/experiments", wanted.reports};
  bool good = true;
  for (const auto act : {slow_payments, who_noticed, refused_connects, killed_agent})
    good &= act(stage);
  return good;
}

bool days(const Wanted& wanted, const std::vector<std::string>& names) {
  const DayStage stage{programs(), "docs/examples/gamedays", wanted.reports, wanted.killed};
  bool good = true;
  for (const std::string& name : names) good &= play_day(stage, name);
  return good;
}

void tell_reports(const Wanted& wanted, const std::vector<std::string>& names) {
  heading("The reports");
  for (const std::string& name : names) {
    const fs::path page = fs::absolute(wanted.reports) / name / "report.html";
    paragraph(fs::exists(page) ? "file://" + page.string()
                               : name + ": none, nothing was begun on this kernel");
  }
}

int play(const Wanted& wanted) {
  if (geteuid() != 0) {
    std::fputs(
        "faultline-demo: loads BPF programs and makes network namespaces, which needs root\n",
        stderr);
    return 5;
  }
  watch_signals();
  const testbed::ResidueCheck residue;
  fs::create_directories(wanted.reports);
  std::vector<std::string> names{"slow-payments", "noticed", "refused-connects", "orphaned-fault"};
  if (wanted.day == "all")
    names = day_names();
  else if (!wanted.day.empty())
    names = {wanted.day};
  bool good = false;
  try {
    good = wanted.day.empty() ? acts(wanted) : days(wanted, names);
  } catch (...) {
    give_to_owner(wanted.reports);
    throw;
  }
  give_to_owner(wanted.reports);
  good &= nothing_left(residue);
  tell_reports(wanted, names);
  if (wanted.day.empty()) std::puts("\n   What a team does with it: scripts/demo --gameday");
  if (!good) std::puts("\n   Not everything was shown as claimed: see NOT SHOWN above.");
  return good ? 0 : 1;
}

// Nothing: they are wrong.
std::optional<Wanted> wanted_of(std::vector<std::string> words) {
  Wanted wanted;
  const auto take = [&](const std::string& option) -> std::optional<std::string> {
    const auto at = std::ranges::find(words, option);
    if (at == words.end() || at + 1 == words.end()) return std::nullopt;
    std::string value = *(at + 1);
    words.erase(at, at + 2);
    return value;
  };
  if (const auto day = take("--gameday")) {
    if (*day != "all" && std::ranges::find(day_names(), *day) == day_names().end())
      return std::nullopt;
    wanted.day = *day;
    wanted.reports = "build/demo-reports/gamedays";
  }
  if (const auto killed = take("--kill")) {
    if ((*killed != "controller" && *killed != "agent") || wanted.day != "slow-dependency")
      return std::nullopt;
    wanted.killed = *killed == "agent" ? Killed::kAgent : Killed::kController;
  }
  if (words.size() > 1 || (!words.empty() && words[0].starts_with('-'))) return std::nullopt;
  if (!words.empty()) wanted.reports = words[0];
  return wanted;
}

}  // namespace
}  // namespace faultline::demo

int main(int argc, char** argv) {
  using namespace faultline::demo;
  const auto wanted = wanted_of({argv + 1, argv + argc});
  if (!wanted) {
    std::string names;
    for (const std::string& name : day_names()) names += name + "|";
    std::fprintf(stderr,
                 "usage: faultline-demo [--gameday %sall [--kill controller|agent]] [REPORTS]\n",
                 names.c_str());
    return 3;
  }
  try {
    return play(*wanted);
  } catch (const Interrupted&) {
    std::puts("\n   Interrupted. The pods, their processes and the fault are gone.");
    return 128 + signal_seen();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "\nfaultline-demo: %s\n", e.what());
    return 5;
  }
}
