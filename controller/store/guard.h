// SPDX-License-Identifier: Apache-2.0
// The border to SQLiteCpp, which throws. Internal to store/.
#pragma once

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include "api/codec.h"
#include "controller/store/store.h"

namespace faultline::controller {

[[nodiscard]] inline Error store_error(const SQLite::Exception& e, const std::string& doing) {
  const Errc code = e.getErrorCode() == SQLITE_CONSTRAINT ? Errc::kConflict : Errc::kUnavailable;
  std::string what = e.what();
  if (e.getErrorCode() == SQLITE_NOTADB || e.getErrorCode() == SQLITE_CORRUPT)
    what += "; move it away to begin with an empty one";
  return {code, "store: " + doing + ": " + what, 0};
}

template <class Body>
auto Store::guarded(const char* doing, Body body) -> decltype(body()) {
  try {
    return body();
  } catch (const SQLite::Exception& e) {
    return faultline::fail(store_error(e, doing));
  } catch (const std::exception& e) {
    return faultline::fail(Errc::kInternal, std::string("store: ") + doing + ": " + e.what());
  }
}

inline std::int64_t micros(UtcTime t) {
  return std::chrono::duration_cast<std::chrono::microseconds>(t.time_since_epoch()).count();
}
inline UtcTime from_micros(std::int64_t us) { return UtcTime(std::chrono::microseconds(us)); }

[[nodiscard]] std::string state_text(api::RunState state);
[[nodiscard]] std::optional<api::RunState> state_of(const std::string& text);

}  // namespace faultline::controller
