// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "api/codec.h"
#include "api/syscalls.h"
#include "cli/convert/kinds.h"

namespace faultline::cli {
namespace {

using namespace std::chrono_literals;

// Methods are those of FUSE, through which Chaos Mesh sees files; the calls that come to them.
struct Method {
  std::string_view name;
  std::string_view calls;    // separated by blanks; empty: none
  std::string_view why_not;  // why none, or not all
};
constexpr std::string_view kNoCall = "no system call of the table comes to it alone";
constexpr std::string_view kOpens =
    "to create, or to open a directory, cannot be told from open; use open";
constexpr std::array kMethods{
    Method{"lookup", "",
           "a program does not ask for it: the call that looks up fails; use open or getattr"},
    Method{"forget", "", "the kernel does it, no program can see it fail"},
    Method{"getattr", "stat lstat newfstatat statx fstat", ""},
    Method{"setattr", "chmod fchmodat chown fchownat truncate ftruncate fchmod fchown", ""},
    Method{"readlink", "", kNoCall},
    Method{"mknod", "", kNoCall},
    Method{"mkdir", "mkdir mkdirat", ""},
    Method{"unlink", "unlink unlinkat", ""},
    Method{"rmdir", "rmdir", ""},
    Method{"symlink", "symlink symlinkat", ""},
    Method{"rename", "rename renameat renameat2", ""},
    Method{"link", "link linkat", ""},
    Method{"open", "open openat openat2", ""},
    Method{"read", "read pread64 readv preadv preadv2", ""},
    Method{"write", "write pwrite64 writev pwritev pwritev2", ""},
    Method{"flush", "close", ""},
    Method{"release", "", "no program can see it fail; use flush"},
    Method{"fsync", "fsync fdatasync", ""},
    Method{"opendir", "", kOpens},
    Method{"readdir", "getdents64", ""},
    Method{"releasedir", "", "no program can see it fail"},
    Method{"fsyncdir", "", "cannot be told from fsync; use fsync"},
    Method{"statfs", "", kNoCall},
    Method{"setxattr", "", kNoCall},
    Method{"getxattr", "", kNoCall},
    Method{"listxattr", "", kNoCall},
    Method{"removexattr", "", kNoCall},
    Method{"access", "access faccessat faccessat2", ""},
    Method{"create", "", kOpens},
    Method{"getlk", "", "fcntl does much more than that"},
    Method{"setlk", "flock",
           "locks by fcntl cannot be told from the rest of it; those of flock are hit"},
    Method{"bmap", "", kNoCall},
};

// "; did you mean \"read\"?"
std::string suggestion(std::string word) {
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::vector<std::string_view> names;
  for (const Method& method : kMethods) names.push_back(method.name);
  const bool known = std::ranges::find(names, std::string_view(word)) != names.end();
  const std::string nearest = known ? word : api::nearest_word(word, names);
  return nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?";
}

void add_calls(const Method& method, std::vector<std::string>& out) {
  for (std::string_view rest = method.calls; !rest.empty();) {
    const std::size_t blank = rest.find(' ');
    out.emplace_back(rest.substr(0, blank));
    rest = blank == std::string_view::npos ? std::string_view{} : rest.substr(blank + 1);
  }
}

std::vector<std::string> calls(const Node& node) {
  std::vector<std::string> out;
  if (!node.given() || (node.value()->is_array() && node.value()->get_array().empty())) {
    for (const Method& method : kMethods) add_calls(method, out);
    return out;
  }
  if (!node.value()->is_array()) node.left_out("expected a list");
  for (const Node& item : node.items()) {
    const auto word = item.text();
    const auto* method = std::ranges::find(kMethods, word.value_or(""), &Method::name);
    if (word && method == kMethods.end())
      item.left_out("is no method of Chaos Mesh" + suggestion(*word));
    else if (word && method->calls.empty())
      item.left_out(method->why_not);
    else if (word)
      add_calls(*method, out);
    if (method != kMethods.end() && !method->calls.empty()) {
      if (!method->why_not.empty()) item.left_out(method->why_not);
    }
  }
  if (out.empty()) node.left_out("no method is left, so the fault is left out");
  return out;
}

// false: it cannot be said.
bool path(const Node& spec, std::string& out) {
  const Node own = spec["path"], volume = spec["volumePath"];
  const std::string root = volume.text().value_or("");
  std::string text = own.text().value_or("");
  if (text.empty()) {
    if (root.empty()) {
      spec.missing("volumePath", "the files are not known, so the fault is left out");
      return false;
    }
    out = root;
    return true;
  }
  for (const std::string_view all : {"/**/*", "/**"})
    if (text.ends_with(all)) {
      text.resize(text.size() - all.size());
      if (text.empty()) text = "/";
      break;
    }
  const bool plain = text.find_first_of("?[]{}!\\") == std::string::npos;
  if (!plain || !api::parse_path_pattern(text)) {
    own.left_out(
        "without it more files would be hit, so the fault is left out; a path may hold one *, in "
        "its last part");
    return false;
  }
  out = text;
  return true;
}

}  // namespace

void convert_io(const Node& spec, Draft& draft) {
  convert_containers(spec, draft);
  const Node action = spec["action"], delay = spec["delay"], error = spec["errno"];
  const std::string word = action.text().value_or("");
  const auto latency = delay.duration();
  const auto number = error.number(0, 4095);
  api::SyscallFilter filter;
  filter.syscalls = calls(spec["methods"]);
  const bool known = path(spec, filter.path) && !filter.syscalls.empty();
  bool hit = true;
  if (const Node percent = spec["percent"]; percent.given()) {
    const auto value = percent.percent();
    hit = value && value->value > 0;
    if (value && !hit) percent.left_out("0 hits nothing; the fault is left out");
    if (hit) filter.probability = *value;
  }
  const auto idle = [&](const Node& node) {
    if (node.given()) node.note("has no effect with action " + word + ", as in Chaos Mesh");
  };
  if (word == "latency") {
    idle(error);
    api::SyscallLatency fault;
    static_cast<api::SyscallFilter&>(fault) = filter;
    if (!latency) {
      if (!delay.given()) spec.missing("delay", "the fault is left out");
      return;
    }
    fault.latency = *latency;
    if (latency->value.count() == 0) return delay.left_out("0 does nothing; the fault is left out");
    if (latency->value > 10s)
      return delay.left_out("a call waits for at most 10s; the fault is left out");
    if (known && hit) draft.spec.faults.push_back({fault});
  } else if (word == "fault") {
    idle(delay);
    api::SyscallError fault;
    static_cast<api::SyscallFilter&>(fault) = filter;
    if (!number) {
      if (!error.given()) spec.missing("errno", "the fault is left out");
      return;
    }
    const auto name = api::ErrnoName{static_cast<int>(*number)}.format();
    const auto parsed = api::ErrnoName::parse(name);
    if (!parsed || *number != std::floor(*number))
      return error.left_out("is no error number of Linux; the fault is left out");
    fault.errno_ = *parsed;
    if (known && hit) draft.spec.faults.push_back({fault});
  } else if (word == "attrOverride" || word == "mistake") {
    idle(delay);
    idle(error);
    action.left_out(word == "mistake" ? why_not("IOChaos", "mistake.filling")
                                      : why_not("IOChaos", "attr.perm"));
  } else if (action.given()) {
    action.left_out("expected one of latency, fault, attrOverride, mistake");
  } else {
    spec.missing("action", "nothing is known to be done");
  }
}

}  // namespace faultline::cli
