// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/elf_functions.h"

#include <elf.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

namespace faultline::agent {
namespace {

constexpr std::uint64_t kMostBytes = 24U << 20;  // of one table, two of which are in memory
constexpr std::size_t kMostSections = 4096, kMostSegments = 256;
constexpr std::size_t kLongestName = 64;  // no name that is looked for is as long

#if defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
#else
constexpr std::uint16_t kMachine = EM_X86_64;
#endif

class File {
 public:
  explicit File(int fd) : fd_(fd) {
    struct stat now {};
    if (::fstat(fd, &now) == 0 && S_ISREG(now.st_mode))
      size_ = static_cast<std::uint64_t>(now.st_size);
  }
  // Nothing when it is not all there.
  template <class T>
  [[nodiscard]] std::optional<std::vector<T>> read(std::uint64_t offset,
                                                   std::uint64_t count) const {
    if (count > kMostBytes / sizeof(T) || offset > size_ || count * sizeof(T) > size_ - offset)
      return std::nullopt;
    std::vector<T> values(count);
    auto* at = reinterpret_cast<char*>(values.data());
    for (std::uint64_t left = count * sizeof(T); left > 0;) {
      const ssize_t got = ::pread(fd_, at, left, static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return std::nullopt;
      at += got;
      offset += static_cast<std::uint64_t>(got);
      left -= static_cast<std::uint64_t>(got);
    }
    return values;
  }

 private:
  int fd_;
  std::uint64_t size_ = 0;
};

tl::unexpected<Error> broken() {
  return fail(Errc::kInvalid, "it is no ELF file that can be read, or its tables are too large");
}

// Of an address in memory, the offset in the file: of an executable segment only.
std::optional<std::uint64_t> offset_of(const std::vector<Elf64_Phdr>& segments,
                                       std::uint64_t address) {
  for (const Elf64_Phdr& s : segments)
    if (s.p_type == PT_LOAD && (s.p_flags & PF_X) != 0 && address >= s.p_vaddr &&
        address - s.p_vaddr < s.p_filesz)
      return address - s.p_vaddr + s.p_offset;
  return std::nullopt;
}

void find_in(const std::vector<Elf64_Sym>& symbols, const std::vector<char>& text,
             const std::vector<Elf64_Phdr>& segments, std::span<const std::string_view> names,
             FunctionOffsets& found) {
  for (const Elf64_Sym& symbol : symbols) {
    if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF ||
        symbol.st_name >= text.size())
      continue;
    const char* begin = text.data() + symbol.st_name;
    // A table without an end, read whole for each symbol, would take minutes.
    const std::string_view name(
        begin, ::strnlen(begin, std::min<std::size_t>(text.size() - symbol.st_name, kLongestName)));
    if (std::ranges::find(names, name) == names.end()) continue;
    if (const auto offset = offset_of(segments, symbol.st_value))
      found.try_emplace(std::string(name), *offset);
  }
}

}  // namespace

Result<FunctionOffsets> functions_in(int fd, std::span<const std::string_view> names) {
  const File file(fd);
  const auto head = file.read<Elf64_Ehdr>(0, 1);
  if (!head) return broken();
  const Elf64_Ehdr& elf = head->front();
  if (std::memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0 || elf.e_ident[EI_CLASS] != ELFCLASS64 ||
      elf.e_ident[EI_DATA] != ELFDATA2LSB || elf.e_machine != kMachine)
    return fail(Errc::kInvalid, "it is no 64-bit ELF file of this machine's kind");
  if (elf.e_shnum > kMostSections || elf.e_phnum > kMostSegments ||
      elf.e_phentsize != sizeof(Elf64_Phdr) ||
      (elf.e_shnum > 0 && elf.e_shentsize != sizeof(Elf64_Shdr)))
    return broken();
  const auto segments = file.read<Elf64_Phdr>(elf.e_phoff, elf.e_phnum);
  const auto sections = file.read<Elf64_Shdr>(elf.e_shoff, elf.e_shnum);
  if (!segments || !sections) return broken();
  FunctionOffsets found;
  // A file has one table of each kind (gABI, "Sections"). One that says it has more could have us
  // read for hours.
  for (const std::uint32_t kind : {SHT_DYNSYM, SHT_SYMTAB}) {
    const auto section = std::ranges::find(*sections, kind, &Elf64_Shdr::sh_type);
    if (section == sections->end() || found.size() == names.size()) continue;
    if (section->sh_link >= sections->size()) return broken();
    const Elf64_Shdr& strings = (*sections)[section->sh_link];
    const auto symbols =
        file.read<Elf64_Sym>(section->sh_offset, section->sh_size / sizeof(Elf64_Sym));
    const auto text = file.read<char>(strings.sh_offset, strings.sh_size);
    if (!symbols || !text) return broken();
    find_in(*symbols, *text, *segments, names, found);
  }
  return found;
}

}  // namespace faultline::agent
