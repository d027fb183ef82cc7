// SPDX-License-Identifier: Apache-2.0
#include "api/fault.h"

#include <type_traits>

#include "api/detail/type_name.h"

namespace faultline::api {

std::string_view Fault::name() const {
  return std::visit([]<class T>(const T&) { return detail::kFaultName<T>; }, spec);
}

namespace {

template <class Part>
const Part* part_of(const Fault& fault) {
  return std::visit(
      []<class T>(const T& spec) -> const Part* {
        if constexpr (std::is_base_of_v<Part, T>)
          return &spec;
        else
          return nullptr;
      },
      fault.spec);
}

}  // namespace

const NetworkFilter* network_filter(const Fault& fault) { return part_of<NetworkFilter>(fault); }
const SyscallFilter* syscall_filter(const Fault& fault) { return part_of<SyscallFilter>(fault); }

bool is_of_whole_pod(const Fault& fault) {
  return network_filter(fault) != nullptr && !std::holds_alternative<SocketError>(fault.spec);
}

}  // namespace faultline::api
