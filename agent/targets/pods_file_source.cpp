// SPDX-License-Identifier: Apache-2.0
#include "agent/targets/pods_file_source.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <utility>

#include "agent/targets/resolve.h"
#include "api/codec.h"

namespace faultline::agent {

Result<PodsFileSource> PodsFileSource::open(std::string path, std::string node) {
  auto host = Netlink::open();
  if (!host) return fail(host.error());
  PodsFileSource source(std::move(path), std::move(node), std::move(*host));
  if (auto r = source.read(); !r) return fail(r.error());
  source.resolve();
  return source;
}

// The whole text is compared, not the file's time: a second write within the clock's tick counts
// too, and the file is small.
Result<> PodsFileSource::read() {
  std::ifstream in(path_, std::ios::binary);
  if (!in) return fail(from_errno(errno, "cannot read pods file " + path_));
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (in.bad()) return fail(from_errno(errno, "cannot read pods file " + path_));
  if (text == text_) return {};
  text_ = std::move(text);  // also when it is wrong: said once, not at every poll
  auto file = api::parse_pods_file(text_, path_);
  if (!file) return fail(file.error());
  entries_ = std::move(file->pods);
  return {};
}

bool PodsFileSource::resolve() {
  std::vector<Pod> pods;
  std::vector<MissingPod> missing;
  for (const api::PodEntry& entry : entries_) {
    const api::PodRef ref{entry.namespace_, entry.name, node_, entry.labels};
    auto pod = resolve_pod(ref, entry.cgroup, entry.netns, host_, {.names = entry.interfaces});
    if (!pod) {
      missing.push_back({ref, pod.error().message, ""});
      continue;
    }
    for (const api::ContainerEntry& container : entry.containers)
      if (auto added = add_container(*pod, container.name, container.cgroup); !added)
        missing.push_back({ref, added.error().message, container.name});
    pods.push_back(std::move(*pod));
  }
  std::ranges::sort(pods, {}, [](const Pod& p) { return p.ref.id(); });
  std::ranges::sort(missing, {},
                    [](const MissingPod& p) { return std::pair(p.ref.id(), p.container); });
  const bool changed = pods != pods_ || missing != missing_;
  pods_ = std::move(pods);
  missing_ = std::move(missing);
  return changed;
}

Result<bool> PodsFileSource::poll() {
  const auto read_again = read();
  const bool changed = resolve();
  if (!read_again) return fail(read_again.error());
  return changed;
}

}  // namespace faultline::agent
