// SPDX-License-Identifier: Apache-2.0
// Entries of runs as they lie in etcd: compressed, in objects that others may have written.
#include <boost/json/object.hpp>
#include <string>

#include "api/codec.h"
#include "controller/kubernetes/run_log_object.h"
#include "kube/base64.h"
#include "kube/json.h"
#include "tests/fuzz/fuzz.h"

namespace faultline::fuzz {
namespace {

void entries(const std::string& data) { (void)controller::unpack(data).has_value(); }

}  // namespace

void fuzz(std::string_view input) {
  switch (choose(input, 3)) {
    case 0:  // the compressed bytes
      return entries(kube::base64_encode(input));
    case 1:  // what is in them
      if (const auto entry = api::from_json_text<api::RunLogEntry>(input)) {
        // A reader takes what lacks a part, and no controller writes it: such an entry has no text.
        if (!api::from_json_text<api::RunLogEntry>(api::to_json_text(*entry))) return;
        const auto again = controller::unpack(controller::pack(*entry));
        must(again.has_value(), "what was packed is unpacked");
        must(api::to_json_text(*again) == api::to_json_text(*entry), "as it was");
        entries(controller::pack(*entry));
      }
      return;
    default:  // the object
      if (const auto object = kube::parse_object(input))
        if (const auto read = controller::RunLogObject::of(*object)) {
          (void)read->name();
          entries(read->data);
        }
  }
}

}  // namespace faultline::fuzz
