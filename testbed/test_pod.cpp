// SPDX-License-Identifier: Apache-2.0
#include "testbed/test_pod.h"

#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "agent/kernel/cgroup2.h"
#include "agent/kernel/cgroup_mounts.h"
#include "agent/targets/resolve.h"

namespace faultline::testbed {
namespace {

namespace fs = std::filesystem;

std::string prefix(int pid) { return "flt" + std::to_string(pid); }

bool is_of(int pid, const fs::path& path) {
  const std::string name = path.filename(), mine = prefix(pid);
  return name.starts_with(mine + "-") || name.starts_with(mine + "b");
}

std::string cgroup_root() {
  const auto mount = agent::find_cgroup2_mount();
  if (!mount) throw std::runtime_error(mount.error().message);
  return *mount;
}

// Of every hierarchy that may hold cgroups of ours: cgroup2, and beside it cgroup v1's
// (CgroupLimits).
std::vector<std::string> cgroup_roots() {
  std::vector<std::string> roots = {cgroup_root()};
  if (const auto mounts = agent::cgroup_mounts())
    for (const agent::CgroupMount& mount : *mounts)
      if (!mount.is_v2) roots.push_back(mount.point);
  return roots;
}

// Is the device of this thread's namespace up with a carrier that the kernel has taken note of? It
// does that later, and until then drops what is sent.
bool running(const std::string& device) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  const bool yes = ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
  close(fd);
  return yes;
}

// Does the bridge pass on what comes from this port of it?
bool forwards(const std::string& port) {
  constexpr int kForwarding = 3;  // BR_STATE_FORWARDING
  int state = -1;
  std::ifstream("/sys/class/net/" + port + "/brport/state") >> state;
  return state == kForwarding;
}

constexpr const char* kFolders = "/tmp";
const std::vector<std::string> kIpBatch = {"ip", "-batch", "-"};

// Again when a process that is just being killed wrote to it meanwhile.
void remove_folder(const fs::path& path) noexcept {
  std::error_code ec;
  for (int i = 0; i < 50; ++i) {
    fs::remove_all(path, ec);
    if (!ec) return;
    usleep(20'000);
  }
  std::fprintf(stderr, "test: cannot remove folder %s\n", path.c_str());
}

// Waits for the test to end, however it ends, and then removes what it left.
void start_sweeper() {
  static pid_t started_for = 0;  // not of the parent that this process was forked from
  const pid_t test = getpid();
  if (std::exchange(started_for, test) == test) return;
  const int watched = static_cast<int>(syscall(SYS_pidfd_open, test, 0));
  if (watched < 0) throw std::runtime_error("pidfd_open failed");
  const pid_t child = fork();
  if (child != 0) {
    close(watched);
    if (child < 0) throw std::runtime_error("fork failed");
    return;
  }
  setsid();
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  // What the test has open must end with it and not with us.
  dup2(watched, 3);
  close_range(4, ~0U, 0);
  pollfd p{3, POLLIN, 0};
  while (poll(&p, 1, -1) < 0) {
  }
  sweep(test);
  _exit(0);
}

}  // namespace

void remove_cgroup(const std::string& cgroup) noexcept {
  const fs::path path = cgroup;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(path, ec))
    if (entry.is_directory(ec)) remove_cgroup(entry.path());
  for (int i = 0; i < 200; ++i) {
    std::ifstream procs(path / "cgroup.procs");
    for (pid_t pid = 0; procs >> pid;) kill(pid, SIGKILL);
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return;
    usleep(5000);
  }
  std::fprintf(stderr, "test: cannot remove cgroup %s\n", path.c_str());
}

std::vector<std::string> left_of(int pid) {
  std::vector<std::string> left;
  std::vector<std::string> places = cgroup_roots();
  places.insert(places.end(), {"/run/netns", "/sys/class/net", kFolders});
  for (const std::string& place : places) {
    std::error_code ec;
    for (const auto& entry : fs::directory_iterator(place, ec))
      if (is_of(pid, entry.path())) left.push_back(entry.path());
  }
  return left;
}

void sweep(int pid) noexcept {
  try {
    const auto ours = [&](const fs::path& p) { return is_of(pid, p); };
    std::error_code ec;
    for (const std::string& root : cgroup_roots())
      for (const auto& entry : fs::directory_iterator(root, ec))
        if (ours(entry.path())) remove_cgroup(entry.path());
    for (const auto& entry : fs::directory_iterator("/run/netns", ec))
      if (ours(entry.path())) command({"ip", "netns", "del", entry.path().filename()});
    for (const auto& entry : fs::directory_iterator("/sys/class/net", ec))
      if (ours(entry.path())) command({"ip", "link", "del", entry.path().filename()});
    for (const auto& entry : fs::directory_iterator(kFolders, ec))
      if (ours(entry.path())) remove_folder(entry.path());
  } catch (const std::exception& e) {
    std::fprintf(stderr, "test: sweeping failed: %s\n", e.what());
  }
}

TestNetwork::TestNetwork() : pid_(getpid()), bridge_(prefix(getpid()) + "br") {
  start_sweeper();
  // Without an address of its own a bridge takes the lowest of its ports', which changes when one
  // is added. One ip(8) for all: to start it takes 0.1 s on an emulated machine.
  must(kIpBatch, "link add " + bridge_ + " address 02:fa:17:00:00:01 type bridge\n" +  //
                     "addr add " + host4() + "/24 dev " + bridge_ + "\n" +             //
                     "addr add " + host6() + "/64 dev " + bridge_ + " nodad\n" +       //
                     "link set " + bridge_ + " up\n");
}

TestNetwork::~TestNetwork() { command({"ip", "link", "del", bridge_}); }

std::string TestNetwork::v4(int host) const {
  return "10." + std::to_string(100 + pid_ / 256 % 100) + "." + std::to_string(pid_ % 256) + "." +
         std::to_string(host);
}
std::string TestNetwork::v6(int host) const {
  char text[64];
  const auto pid = static_cast<unsigned>(pid_);
  std::snprintf(text, sizeof text, "fdfa:17:%x:%x::%x", pid >> 16, pid & 0xffff,
                static_cast<unsigned>(host));
  return text;
}

TestFolder::TestFolder() : path_(kFolders + ("/" + prefix(getpid())) + "-XXXXXX") {
  start_sweeper();
  if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("cannot make a folder " + path_);
  fs::permissions(path_, fs::perms(0755));
}

TestFolder::~TestFolder() { remove_folder(path_); }

TestPod::TestPod(TestNetwork& network, const std::string& name)
    : network_(network),
      host_number_(network.next_++),
      name_(prefix(getpid()) + "-" + name),
      ip4_(network.v4(host_number_)),
      ip6_(network.v6(host_number_)),
      host_device_(prefix(getpid()) + "-v" + std::to_string(host_number_)),
      cgroup_(cgroup_root() + "/" + name_) {
  try {
    make();
  } catch (...) {
    remove();
    throw;
  }
}

TestPod::~TestPod() { remove(); }

void TestPod::make() {
  fs::create_directory(cgroup_);
  must(kIpBatch, "netns add " + name_ + "\n" +  //
                     "link add " + host_device_ + " type veth peer name eth0 netns " + name_ +
                     "\n" +  //
                     "link set " + host_device_ + " master " + network_.bridge_ + " up\n");
  must({"ip", "-n", name_, "-batch", "-"},
       "link set lo up\n"
       "addr add " +
           ip4_ + "/24 dev eth0\n" +                      //
           "addr add " + ip6_ + "/64 dev eth0 nodad\n" +  //
           "link set eth0 up\n");
  // Before that the first packets, and the question for a neighbour's address, may be lost.
  for (int i = 0; i < 5000; ++i) {
    if (running(host_device_) && forwards(host_device_) && running(network_.bridge_) &&
        in_netns([] { return running("eth0"); }))
      return;
    usleep(1000);
  }
  throw std::runtime_error(host_device_ + " does not come up");
}

void TestPod::remove() noexcept {
  try {
    remove_cgroup(cgroup_);
    command({"ip", "-force", "-batch", "-"},
            "link del " + host_device_ + "\n" + "netns del " + name_ + "\n");
  } catch (const std::exception& e) {
    std::fprintf(stderr, "test: cannot remove pod: %s\n", e.what());
  }
}

void TestPod::restart() {
  remove();
  containers_.clear();
  make();
}

agent::Pod TestPod::pod() const {
  auto host = agent::Netlink::open();
  if (!host) throw std::runtime_error(host.error().message);
  auto pod = agent::resolve_pod({"test", name_, "node", {}}, cgroup_, netns_path(), *host);
  if (!pod) throw std::runtime_error(pod.error().message);
  for (const std::string& name : containers_)
    if (auto added = agent::add_container(*pod, name, container_cgroup(name)); !added)
      throw std::runtime_error(added.error().message);
  return *pod;
}

void TestPod::add_container(const std::string& name) {
  fs::create_directory(container_cgroup(name));
  containers_.push_back(name);
}

void TestPod::remove_container(const std::string& name) {
  remove_cgroup(container_cgroup(name));
  std::erase(containers_, name);
}

int TestPod::run_in(const std::string& container, const std::function<int()>& body) const {
  return Child([&] {
           join_cgroup(container_cgroup(container));
           return in_netns(body);
         })
      .wait();
}

void join_cgroup(const std::string& path) {
  std::ofstream procs(path + "/cgroup.procs");
  procs << getpid() << std::flush;
  if (!procs) throw std::runtime_error("cannot join cgroup " + path);
}

Child TestPod::start(const std::function<int()>& body) const {
  return Child([&] {
    join_cgroup(cgroup_);
    return in_netns(body);
  });
}

int TestPod::run(const std::function<int()>& body) const { return start(body).wait(); }

CommandResult TestPod::exec(const std::vector<std::string>& words) const {
  CommandResult result;
  Shared<std::array<char, 65536>> output;
  result.status = run([&] {
    const CommandResult inside = command(words);
    inside.output.copy(output->data(), output->size() - 1);
    return inside.status;
  });
  result.output = output->data();
  return result;
}

}  // namespace faultline::testbed
