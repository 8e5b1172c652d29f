#include "base/status.h"

#include <gtest/gtest.h>

#include "base/result.h"

namespace km {
namespace {

TEST(Status, SuccessIsOneNullPointer) {
  Status ok;
  EXPECT_TRUE(ok.ok());
  EXPECT_EQ(ok.code(), 200);
  EXPECT_EQ(ok.reason(), "");
}

TEST(Status, NotFoundReadsAsUpstream) {
  Status s = errors::notFound({"apps", "deployments"}, "web");
  EXPECT_EQ(s.code(), 404);
  EXPECT_EQ(s.message(), "deployments.apps \"web\" not found");
  ASSERT_NE(s.details(), nullptr);
  EXPECT_EQ(s.details()->kind, "deployments");
  EXPECT_EQ(s.details()->group, "apps");
}

TEST(Status, CopiesAreIndependent) {
  Status a = errors::badRequest("x");
  Status b = a;
  b.mutableDetails().name = "changed";
  EXPECT_EQ(a.details(), nullptr);
  EXPECT_EQ(b.details()->name, "changed");
}

Result<int> half(int n) {
  if (n % 2 != 0) return errors::badRequest("odd");
  return n / 2;
}

Result<int> quarter(int n) {
  KM_ASSIGN(int h, half(n));
  return half(h);
}

TEST(Result, CarriesValueOrError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).status().message(), "odd");
}

}  // namespace
}  // namespace km
