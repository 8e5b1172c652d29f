#include "base/start_pages.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace km {
namespace {

struct Shape {
  virtual ~Shape() = default;
  virtual std::string name() const = 0;
};
struct Circle : Shape {
  std::string name() const override { return "circle"; }
};

const char* const kRelocated[] = {"a", "b"};  // constants that the loader wrote

TEST(StartPages, AllThatIsLeftStillWorks) {
  std::unique_ptr<Shape> shape = std::make_unique<Circle>();
  size_t released = releaseStartPages();
  EXPECT_GT(released, size_t{100} << 10);
  EXPECT_EQ(shape->name() + kRelocated[0] + kRelocated[1], "circleab");
  EXPECT_GT(releaseStartPages(), size_t{0});
}

}  // namespace
}  // namespace km
