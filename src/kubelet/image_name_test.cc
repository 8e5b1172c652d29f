#include "kubelet/image_name.h"

#include <gtest/gtest.h>

#include <string>

namespace km::kubelet {
namespace {

std::string wordsOf(std::string_view name) {
  return checkImageName(name).message();
}

TEST(ImageName, TakesWhatRegistriesHave) {
  for (const char* name :
       {"busybox", "busybox:1.37.0-1", "library/busybox", "registry.k8s.io/e2e-test-images/agnhost:2.63.0",
        "localhost:5000/a__b/c--d.e:T_1",
        "a@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "Host/path:tag"}) {
    EXPECT_TRUE(checkImageName(name).ok()) << name << ": " << wordsOf(name);
  }
}

TEST(ImageName, SaysWhatIsWrong) {
  EXPECT_EQ(wordsOf("example.invalid/UPPER/case:1"),
            "invalid reference format: repository name (UPPER/case) must be lowercase");
  for (const char* name : {"", "a/", "/a", "a:", "a:-t", "a..b", "-a", "a b", "a@sha256:12", "http://a"})
    EXPECT_EQ(wordsOf(name), "invalid reference format") << name;
  EXPECT_EQ(wordsOf(std::string(64, 'a')), "invalid repository name (" + std::string(64, 'a') +
                                               "), cannot specify 64-byte hexadecimal strings");
}

}  // namespace
}  // namespace km::kubelet
