// SPDX-License-Identifier: Apache-2.0
// Files of a pod that are not as one wishes: programs at fixed addresses, such as are written over,
// many that were deleted, a table of symbols without an end; and connections that stay unmeasured.
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "testbed/program.h"
#include "testbed/shell.h"
#include "tests/kernel/tls_effects.h"

namespace faultline::test {

using namespace testbed;  // NOLINT(google-build-using-namespace)
using std::chrono::milliseconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

namespace {

constexpr std::uint16_t kPort = 8443;

// A program with functions of these names of its own. `before`: instructions in front of them, so
// that they are at other places.
void compile(const std::string& path, const std::string& options, int before) {
  std::string code = "#include <unistd.h>\n#define F __attribute__((noinline, used))\n";
  code += "F int other(int n) { asm volatile(\".fill " + std::to_string(before) +
          ", 1, 0x90\" ::: \"memory\"); return n; }\n";
  for (const char* name : {"SSL_read", "SSL_write"})
    code += std::string("F int ") + name +
            "(void* s, void* b, int n) { asm volatile(\"mov $0x1122334455667788, %%rax\" ::: "
            "\"rax\", \"memory\"); return n; }\n";
  code +=
      "int main(void) { if (SSL_read(0, 0, 3) + SSL_write(0, 0, 4) + other(5) != 12) return 1;"
      " alarm(60); return pause(); }\n";
  std::ofstream(path + ".c") << code;
  const auto done =
      command({"sh", "-c", "cc -rdynamic " + options + " -o " + path + " " + path + ".c"});
  if (done.status != 0) throw std::runtime_error(done.output);
}

class TlsPlainFiles : public TlsPlain {
 protected:
  // Runs it in the client's pod until it has become itself.
  Child run(const std::string& path) {
    Child child = client_.start([=]() -> int {
      ::execl(path.c_str(), path.c_str(), nullptr);
      return 127;
    });
    const std::string exe = "/proc/" + std::to_string(child.pid()) + "/exe";
    std::error_code ec;
    if (!wait_for([&] { return std::filesystem::read_symlink(exe, ec) == path; }))
      throw std::runtime_error("did not start " + path);
    std::this_thread::sleep_for(milliseconds(50));  // past its calls
    return child;
  }
  bool is_attached() {
    return !testing::Value(residue_.now(), Not(Contains(HasSubstr("fl_plain_return"))));
  }

  TestFolder folder_;
};

TEST_F(TlsPlainFiles, ProgramsAtFixedAddressesAndAtOthersAreFollowed) {
  for (const char* options : {"-no-pie", "-pie -fPIE"}) {
    const std::string path = folder_.path() + "/own";
    compile(path, options, 1);
    Child child = run(path);
    const auto collector = measure(client_);
    EXPECT_THAT(take(*collector).reasons(), IsEmpty()) << options;
    EXPECT_TRUE(is_attached()) << options;
    child.signal(SIGKILL);
    child.wait();
  }
}

// The kernel keeps the places of a file's probes: at the same ones the new text has other
// instructions.
TEST_F(TlsPlainFiles, AFileThatIsWrittenOverIsLetGoOf) {
  const std::string path = folder_.path() + "/own", other = folder_.path() + "/other";
  compile(path, "-pie -fPIE", 1);
  compile(other, "-pie -fPIE", 7);
  Child first = run(path);
  const auto collector = measure(client_);
  EXPECT_THAT(take(*collector).reasons(), IsEmpty());
  ASSERT_TRUE(is_attached());
  first.signal(SIGKILL);
  first.wait();
  std::ofstream(path, std::ios::in | std::ios::out | std::ios::binary) << text_of(other);
  static_cast<void>(take(*collector));
  const Child second = run(path);  // which would have died of a signal
  EXPECT_THAT(take(*collector).reasons(), ElementsAre(HasSubstr("own was found only now")));
  EXPECT_TRUE(is_attached()) << "where its functions are now";
  EXPECT_EQ(::kill(second.pid(), 0), 0);
}

TEST_F(TlsPlainFiles, AnotherProgramInTheSameFileIsLookedIntoAnew) {
  const std::string path = folder_.path() + "/own", with = folder_.path() + "/with";
  compile(with, "-pie -fPIE", 1);
  std::filesystem::copy("/bin/sleep", path);
  Child without = client_.start([=]() -> int {
    ::execl(path.c_str(), path.c_str(), "100", nullptr);
    return 127;
  });
  const std::string exe = "/proc/" + std::to_string(without.pid()) + "/exe";
  std::error_code ec;
  ASSERT_TRUE(wait_for([&] { return std::filesystem::read_symlink(exe, ec) == path; }));
  const auto collector = measure(client_);
  EXPECT_FALSE(is_attached());
  without.signal(SIGKILL);
  without.wait();
  std::ofstream(path, std::ios::trunc | std::ios::binary) << text_of(with);
  const Child now = run(path);
  EXPECT_THAT(take(*collector).reasons(), ElementsAre(HasSubstr("own was found only now")));
  EXPECT_TRUE(is_attached());
}

// As of FUSE or NFS, whose servers may let a reader wait; a process that has changed its root does
// not show where its files are.
TEST_F(TlsPlainFiles, AFileSystemThatIsNotKnownToBeOfThisKernelAloneIsNotRead) {
  const std::string folder = "/dev/flt" + std::to_string(::getpid());
  if (command({"findmnt", "-no", "FSTYPE", "/dev"}).output != "devtmpfs\n")
    GTEST_SKIP() << "needs: /dev as a devtmpfs";
  std::filesystem::create_directory(folder);
  std::ofstream(folder + "/libssl.so.9") << std::string(5000, 'x');
  for (const char* root : {"/", "/mnt"}) {
    Child child = client_.start([&]() -> int {
      ::execl("/usr/bin/python3", "python3", "-c",
              ("import mmap, os, time\nf = open('" + folder +
               "/libssl.so.9', 'rb')\nm = "
               "mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, "
               "flags=mmap.MAP_PRIVATE)\nos.chroot('" +
               root + "')\n" + "time.sleep(100)\n")
                  .c_str(),
              nullptr);
      return 127;
    });
    const std::string maps = "/proc/" + std::to_string(child.pid()) + "/maps";
    EXPECT_TRUE(wait_for([&] { return text_of(maps).find("libssl.so.9") != std::string::npos; }));
    std::this_thread::sleep_for(milliseconds(100));  // it has another root now
    const auto collector = measure(client_);
    EXPECT_THAT(take(*collector).reasons(),
                ElementsAre(HasSubstr("libssl.so.9 is in a file system of type devtmpfs")));
    child.signal(SIGKILL);
    child.wait();
  }
  std::filesystem::remove_all(folder);
}

// A table of names without an end, read whole for each of very many symbols, would take minutes.
TEST_F(TlsPlainFiles, ATableWithoutAnEndIsReadOnce) {
  constexpr std::size_t kSymbols = 1 << 20, kNames = 24 << 20;
  std::vector<Elf64_Shdr> sections(3);
  sections[1] = {.sh_type = SHT_DYNSYM,
                 .sh_offset = 4096,
                 .sh_size = kSymbols * sizeof(Elf64_Sym),
                 .sh_link = 2,
                 .sh_entsize = sizeof(Elf64_Sym)};
  sections[2] = {.sh_type = SHT_STRTAB, .sh_offset = 4096 + sections[1].sh_size, .sh_size = kNames};
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_ident[EI_DATA] = ELFDATA2LSB;
  head.e_machine = EM_X86_64;
  head.e_phentsize = sizeof(Elf64_Phdr);
  head.e_shentsize = sizeof(Elf64_Shdr);
  head.e_shoff = sizeof head;
  head.e_shnum = 3;
  Elf64_Sym symbol{};
  symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
  symbol.st_shndx = 1;
  const std::string path = folder_.path() + "/libssl.so.4";
  {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(&head), sizeof head);
    out.write(reinterpret_cast<const char*>(sections.data()), 3 * sizeof(Elf64_Shdr));
    out << std::string(4096 - sizeof head - 3 * sizeof(Elf64_Shdr), '\0');
    for (std::size_t i = 0; i < kSymbols; ++i)
      out.write(reinterpret_cast<const char*>(&symbol), sizeof symbol);
    out << std::string(kNames, 'S');
  }
  const Child child = client_.start([=]() -> int {
    ::execl("/usr/bin/python3", "python3", "-c",
            ("import mmap, time\nf = open('" + path +
             "', 'rb')\nm = mmap.mmap(f.fileno(), 0, "
             "prot=mmap.PROT_READ | mmap.PROT_EXEC, flags=mmap.MAP_PRIVATE)\ntime.sleep(100)\n")
                .c_str(),
            nullptr);
    return 127;
  });
  const std::string maps = "/proc/" + std::to_string(child.pid()) + "/maps";
  ASSERT_TRUE(wait_for([&] { return text_of(maps).find("libssl.so.4") != std::string::npos; }));
  const auto begin = std::chrono::steady_clock::now();
  const auto collector = measure(client_);
  EXPECT_THAT(take(*collector).reasons(), ElementsAre(HasSubstr("libssl.so.4 ")));
  // It was eleven minutes.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(30));
}

// A hundred files that all have the program's name, and one path of 60 KB for thousands of
// mappings.
TEST_F(TlsPlainFiles, ManyFilesAndMappingsOfOneProcessTakeNoLongerThanOne) {
  const std::string program =
      "import mmap, os, shutil, sys, time\n"
      "me = '" +
      folder_.path() +
      "/me'\n"
      "keep = []\n"
      "os.unlink(me)\n"
      "for i in range(100):\n"
      "  with open(me, 'wb+') as f:\n"
      "    f.truncate(64 << 20)\n"
      "    keep.append(mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_EXEC, "
      "flags=mmap.MAP_PRIVATE))\n"
      "  os.unlink(me)\n"
      "open('" +
      folder_.path() +
      "/ready', 'w').close()\n"
      "time.sleep(100)\n";
  std::filesystem::copy("/usr/bin/python3", folder_.path() + "/me");
  const std::string me = folder_.path() + "/me";
  const Child child = client_.start([&]() -> int {
    ::setenv("PYTHONHOME", "/usr", 1);
    ::execl(me.c_str(), me.c_str(), "-c", program.c_str(), nullptr);
    return 127;
  });
  ASSERT_TRUE(wait_for([&] { return std::filesystem::exists(folder_.path() + "/ready"); }));
  const auto begin = std::chrono::steady_clock::now();
  const auto collector = measure(client_);
  static_cast<void>(take(*collector));
  // It was twelve seconds, each of a hundred files being read.
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(TlsPlainFiles, AConnectionThatStaysUnmeasuredIsAGapInEachWindow) {
  const TlsServer server(server_, kPort, answers(milliseconds(1)));
  const TlsProcess client(client_, [&](Answers& said) {
    TlsClient c(server_.ip4(), kPort);
    const std::string two = std::string(kGet) + std::string(kGet);
    for (int i = 0; i < 40; ++i) {
      said.add(c.ask(i == 0 ? std::string_view(two) : kGet));
      std::this_thread::sleep_for(milliseconds(50));
    }
  });
  const auto collector = measure(client_);
  client.begin();
  for (int window = 1; window <= 3; ++window) {
    ASSERT_TRUE(wait_for([&] { return client.said().count() >= 10 * window; }));
    EXPECT_THAT(take(*collector).reasons(),
                ElementsAre(HasSubstr("1 of 1 connections: several requests at once")))
        << window;
  }
}

}  // namespace
}  // namespace faultline::test
