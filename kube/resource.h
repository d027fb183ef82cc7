// SPDX-License-Identifier: Apache-2.0
// Which objects of the API are meant. Pure and thread-safe.
#pragma once

#include <string>

#include "base/result.h"

namespace faultline::kube {

struct ResourceRef {
  std::string group;        // "" is the core group
  std::string version;      // "v1"
  std::string plural;       // "pods"
  std::string ns;           // namespace; "" for cluster-wide kinds, and to list in all namespaces
  std::string name;         // "" for the collection
  std::string subresource;  // "" or "status"

  [[nodiscard]] ResourceRef in(std::string space) const;
  [[nodiscard]] ResourceRef named(std::string object) const;
  [[nodiscard]] ResourceRef status() const;
  // "/apis/faultline.dev/v1alpha1/namespaces/shop/experiments/slow/status"
  [[nodiscard]] std::string path() const;
  // "experiments.faultline.dev shop/slow", for messages.
  [[nodiscard]] std::string words() const;
  // kInvalid unless each part is what the API allows there, so that no name can lead elsewhere
  // ("../secrets").
  [[nodiscard]] Result<> check() const;
};

[[nodiscard]] ResourceRef pods();
[[nodiscard]] ResourceRef nodes();
[[nodiscard]] ResourceRef namespaces();
[[nodiscard]] ResourceRef config_maps();
[[nodiscard]] ResourceRef events();
[[nodiscard]] ResourceRef leases();

}  // namespace faultline::kube
