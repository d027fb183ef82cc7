// SPDX-License-Identifier: Apache-2.0
#include "api/fault.h"

#include <type_traits>

#include "api/detail/type_name.h"

namespace faultline::api {

std::string_view Fault::name() const {
  return std::visit([]<class T>(const T&) { return detail::kFaultName<T>; }, spec);
}

const NetworkFilter* network_filter(const Fault& fault) {
  return std::visit(
      []<class T>(const T& spec) -> const NetworkFilter* {
        if constexpr (std::is_base_of_v<NetworkFilter, T>)
          return &spec;
        else
          return nullptr;
      },
      fault.spec);
}

}  // namespace faultline::api
