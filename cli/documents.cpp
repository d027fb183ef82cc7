// SPDX-License-Identifier: Apache-2.0
#include "cli/documents.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "api/codec.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kLimit = 4 << 20;

// A file that cannot be read is bad input, whatever the system says.
Error unreadable(const std::string& file, int error) {
  Error e = from_errno(error, file);
  e.code = Errc::kInvalid;
  return e;
}

Result<std::string> read_all(std::istream& in, const std::string& name) {
  std::string text;
  char bytes[65536];
  while (in.read(bytes, sizeof bytes), in.gcount() > 0) {
    text.append(bytes, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kLimit) return fail(Errc::kInvalid, name + ": longer than 4 MB");
  }
  if (in.bad()) return fail(unreadable(name, errno ? errno : EIO));
  return text;
}

}  // namespace

Result<std::string> read_document(Invocation& call, Console& console, const std::string& file,
                                  std::string& name) {
  name = file == "-" ? "<stdin>" : file;
  call.documents.push_back(name);
  if (file == "-") return read_all(console.in, name);
  std::error_code ec;
  if (std::filesystem::is_directory(file, ec)) return fail(unreadable(file, EISDIR));
  errno = 0;
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(unreadable(file, errno ? errno : EIO));
  return read_all(in, name);
}

namespace {

Result<> check_namespace(const Invocation& call, const std::string& name, const std::string& ns) {
  if (const auto asked = call.get("namespace"); asked && !ns.empty() && *asked != ns)
    return fail(Errc::kInvalid, name + ": metadata.namespace is " + ns + ", not " + *asked +
                                    " as --namespace says");
  return {};
}

Result<ExperimentFile> experiment_of(const Invocation& call, std::string name, std::string text) {
  auto experiment = api::parse_experiment(text, name);
  if (!experiment) return fail(experiment.error());
  if (auto good = check_namespace(call, name, experiment->metadata.namespace_); !good)
    return fail(good.error());
  return ExperimentFile{std::move(name), std::move(text), std::move(*experiment)};
}

Result<SweepFile> sweep_of(const Invocation& call, std::string name, std::string text) {
  auto sweep = api::parse_sweep(text, name);
  if (!sweep) return fail(sweep.error());
  if (auto good = check_namespace(call, name, sweep->metadata.namespace_); !good)
    return fail(good.error());
  return SweepFile{std::move(name), std::move(text), std::move(*sweep)};
}

// A file beside `document`, as it names it.
Result<std::string> read_beside(const std::string& document, const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path folder =
      document == "<stdin>" ? fs::path(".") : fs::path(document).parent_path() / ".";
  std::error_code ec;
  // A link may lead anywhere, and what is read is sent to the controller.
  const fs::path root = fs::canonical(folder, ec), real = fs::canonical(folder / path, ec);
  if (ec) return fail(unreadable(path, ec.value()));
  const auto inside = std::mismatch(root.begin(), root.end(), real.begin(), real.end());
  if (inside.first != root.end())
    return fail(Errc::kInvalid, path + ": is a link that leads out of the folder of the game day");
  if (!fs::is_regular_file(real, ec)) return fail(Errc::kInvalid, path + ": is no file");
  errno = 0;
  std::ifstream in(real, std::ios::binary);
  if (!in) return fail(unreadable(path, errno ? errno : EIO));
  return read_all(in, path);
}

Result<GameDayFile> gameday_of(const Invocation& call, std::string name, std::string text) {
  // First as it is: its own problems have their lines.
  auto day = api::parse_gameday(text, name);
  if (!day) return fail(day.error());
  if (auto good = check_namespace(call, name, day->metadata.namespace_); !good)
    return fail(good.error());
  if (!api::missing_files(*day).empty()) {
    auto whole = api::with_files(text, name,
                                 [&](const std::string& path) { return read_beside(name, path); });
    if (!whole) return fail(whole.error());
    text = std::move(*whole);
    day = api::parse_gameday(text, name);
    if (!day) return fail(day.error());
  }
  return GameDayFile{std::move(name), std::move(text), std::move(*day)};
}

}  // namespace

Result<ExperimentFile> load_experiment(Invocation& call, Console& console,
                                       const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  if (api::says_sweep(*text))
    return fail(Errc::kInvalid, name + ": is a Sweep: 'faultline sweep' runs it");
  if (api::says_gameday(*text))
    return fail(Errc::kInvalid, name + ": is a GameDay: 'faultline gameday run' runs it");
  return experiment_of(call, name, std::move(*text));
}

Result<SweepFile> load_sweep(Invocation& call, Console& console, const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  return sweep_of(call, name, std::move(*text));
}

Result<GameDayFile> load_gameday(Invocation& call, Console& console, const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  return gameday_of(call, name, std::move(*text));
}

Result<AnyFile> load_any(Invocation& call, Console& console, const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  const auto any = [](auto loaded) -> Result<AnyFile> {
    if (!loaded) return fail(loaded.error());
    return AnyFile(std::move(*loaded));
  };
  if (api::says_gameday(*text)) return any(gameday_of(call, name, std::move(*text)));
  if (api::says_sweep(*text)) return any(sweep_of(call, name, std::move(*text)));
  return any(experiment_of(call, name, std::move(*text)));
}

Result<api::PodsFile> load_pods(Invocation& call, Console& console, const std::string& file) {
  std::string name;
  auto text = read_document(call, console, file, name);
  if (!text) return fail(text.error());
  return api::parse_pods_file(*text, name);
}

}  // namespace faultline::cli
