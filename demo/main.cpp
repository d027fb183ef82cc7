// SPDX-License-Identifier: Apache-2.0
// faultline-demo [REPORTS]: shows Faultline on pods of this machine, in three acts. Run by
// scripts/demo from the root of the tree; needs root. Exit codes: 0 all was shown as claimed, 1 it
// was not, 5 could not run, 128 + signal when interrupted.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "demo/acts.h"
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

int play(const std::string& reports) {
  if (geteuid() != 0) {
    std::fputs(
        "faultline-demo: loads BPF programs and makes network namespaces, which needs root\n",
        stderr);
    return 5;
  }
  watch_signals();
  const testbed::ResidueCheck residue;
  fs::create_directories(reports);
  bool good = true;
  {
    heading("The shop");
    paragraph("Four pods on this machine: each is a network namespace on a bridge, and a cgroup.");
    std::puts("");
    std::puts("     customers  --->  checkout  --->  payments          catalog");
    std::puts("     wrk, 200/s       nginx, proxy    nginx             nginx, a neighbour");
    const Shop shop;
    const Stage stage{shop, fs::read_symlink("/proc/self/exe").parent_path(), "demo/experiments",
                      reports};
    for (const auto act : {slow_payments, refused_connects, killed_agent}) {
      try {
        good &= act(stage);
      } catch (...) {
        give_to_owner(reports);
        throw;
      }
    }
    give_to_owner(reports);
  }
  good &= nothing_left(residue);
  heading("The reports");
  for (const char* name : {"slow-payments", "refused-connects", "orphaned-fault"})
    paragraph("file://" + fs::absolute(reports).string() + "/" + name + "/report.html");
  if (!good) std::puts("\n   Not everything was shown as claimed: see NOT SHOWN above.");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace faultline::demo

int main(int argc, char** argv) {
  using namespace faultline::demo;
  try {
    return play(argc > 1 ? argv[1] : "build/demo-reports");
  } catch (const Interrupted&) {
    std::puts("\n   Interrupted. The pods, their processes and the fault are gone.");
    return 128 + signal_seen();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "\nfaultline-demo: %s\n", e.what());
    return 5;
  }
}
