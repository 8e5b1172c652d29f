#include "base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

namespace km {
namespace {

struct Files : testing::Test {
  Files() {
    char name[] = "/tmp/km-files-XXXXXX";
    dir = ::mkdtemp(name);
  }
  ~Files() override { std::filesystem::remove_all(dir); }
  static mode_t mode(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
  }
  std::string dir;
};

TEST_F(Files, WritesWholeWithTheExactMode) {
  std::string path = dir + "/key";
  mode_t old = ::umask(077);
  ASSERT_TRUE(writeFileAtomic(path, "secret", 0600).ok());
  EXPECT_EQ(mode(path), 0600u);
  ASSERT_TRUE(writeFileAtomic(path, std::string(100'000, 'x'), 0644).ok());
  ::umask(old);
  EXPECT_EQ(mode(path), 0644u);
  EXPECT_EQ(readFile(path).value(), std::string(100'000, 'x'));
  int entries = 0;
  for (auto& e : std::filesystem::directory_iterator(dir)) entries += !e.path().empty();
  EXPECT_EQ(entries, 1) << "no temporary file stays";
}

TEST_F(Files, FailuresSayWhereAndLeaveNothing) {
  EXPECT_EQ(readFile(dir + "/none").status().message(), "open " + dir + "/none: No such file or directory");
  ASSERT_TRUE(makeDirs(dir + "/d/x").ok());
  EXPECT_FALSE(writeFileAtomic(dir + "/d", "a").ok());
  EXPECT_FALSE(makeDirs("/dev/null/x").ok());
  int entries = 0;
  for (auto& e : std::filesystem::directory_iterator(dir)) entries += !e.path().empty();
  EXPECT_EQ(entries, 1);
}

TEST_F(Files, MakesDirectoriesWithMode) {
  ASSERT_TRUE(makeDirs(dir + "/a/b/c/", 0700).ok());
  EXPECT_EQ(mode(dir + "/a/b"), 0700u);
  EXPECT_EQ(mode(dir + "/a/b/c"), 0700u);
  EXPECT_TRUE(makeDirs(dir + "/a/b/c", 0755).ok());
  EXPECT_EQ(mode(dir + "/a/b/c"), 0700u) << "those that exist are left alone";
}

TEST_F(Files, ReadsFilesThatSayNoSize) {
  EXPECT_GT(readFile("/proc/self/status").value().size(), 100u);
}

TEST_F(Files, RemovesWhatMayBeAbsent) {
  ASSERT_TRUE(writeFileAtomic(dir + "/x", "").ok());
  EXPECT_TRUE(fileExists(dir + "/x"));
  EXPECT_TRUE(removeFile(dir + "/x").ok());
  EXPECT_TRUE(removeFile(dir + "/x").ok());
  EXPECT_FALSE(fileExists(dir + "/x"));
}

}  // namespace
}  // namespace km
