// SPDX-License-Identifier: Apache-2.0
#include "controller/kubernetes/client_authority.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>

#include "controller/kubernetes/authority.h"
#include "controller/store/state_dir.h"
#include "kube/json.h"

namespace faultline::controller {
namespace {

constexpr const char* kNamespace = "kube-system";
constexpr const char* kName = "extension-apiserver-authentication";
constexpr const char* kKey = "client-ca-file";

}  // namespace

boost::asio::awaitable<Result<>> ClientAuthority::maintain() {
  auto ref = kube::config_maps().in(kNamespace).named(kName);
  const auto map = co_await client_.get(std::move(ref));
  if (!map) {
    if (map.error().reason == kube::Reason::kForbidden ||
        map.error().reason == kube::Reason::kNotFound)
      co_return keep("", map.error().message);
    co_return fail(map.error().with_context("the authority of client certificates"));
  }
  const auto* data = kube::object_at(*map, "data");
  const std::string pem(data == nullptr ? std::string_view() : kube::text_at(*data, kKey));
  if (pem.empty()) co_return keep("", std::string(kKey) + " is not in the ConfigMap " + kName);
  if (const auto good = validity_of(pem); !good) co_return keep("", good.error().message);
  co_return keep(pem, "");
}

Result<> ClientAuthority::keep(const std::string& pem, const std::string& why_none) {
  if (why_none != told_ && !why_none.empty())
    spdlog::warn("nobody is known by a client certificate: {}", why_none);
  told_ = why_none;
  if (begun_ && pem == kept_) return {};
  if (pem.empty()) {
    if (unlink(file_.c_str()) != 0 && errno != ENOENT)
      return fail(from_errno(errno, "cannot remove " + file_));
  } else {
    if (auto written = write_whole(file_, pem); !written) return written;
    spdlog::info("people are known by client certificates, too");
  }
  begun_ = true;
  kept_ = pem;
  return {};
}

}  // namespace faultline::controller
