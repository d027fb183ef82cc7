// SPDX-License-Identifier: Apache-2.0
// Answers of the controller as what they stand for. Pure and thread-safe.
#pragma once

#include <string>

#include "api/codec.h"

namespace faultline::cli {

// `what` it was to be, for the message.
template <class T>
Result<T> decoded(Result<std::string> text, const std::string& what) {
  if (!text) return fail(text.error());
  auto value = api::from_json_text<T>(*text);
  if (value) return value;
  // Not the person's mistake, so not kInvalid.
  return fail(Errc::kInternal, "the controller's answer (" + what +
                                   ") cannot be read, is it of another version? " +
                                   value.error().message);
}

}  // namespace faultline::cli
