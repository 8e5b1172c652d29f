#include "registry/core/service_allocator.h"

#include <gtest/gtest.h>

#include "api/types/core_v1.h"
#include "api/types/meta_v1.h"
#include "registry/core/service_defaults.h"

namespace km::registry {
namespace {

using api::core_v1::Service;

api::MutableObject service(std::string_view type, std::string_view ip = "", int nodePort = 0) {
  Service s;
  s.metadata.name = "s";
  s.spec.type = type;
  s.spec.clusterIP = ip;
  auto& p = s.spec.ports.add();
  p.port = 80;
  p.nodePort = nodePort;
  setServiceDefaults(s);
  return api::Object::of(std::move(s));
}

ServiceAllocator::Options options() {
  return {{*Cidr::parseSloppy("10.96.0.0/16")}, 30000, 32767};
}

TEST(ServiceAllocatorTest, GivesAnAddressFromTheRangeAndSaysTheFamily) {
  ServiceAllocator a(options());
  auto s = service("ClusterIP");
  ASSERT_TRUE(a.beginCreate(*s).ok());
  const auto& spec = s->as<Service>().spec;
  auto ip = Ip::parseSloppy(spec.clusterIP);
  ASSERT_TRUE(ip);
  EXPECT_TRUE(options().ranges[0].contains(*ip));
  EXPECT_EQ(spec.ipFamilies[0], "IPv4");
  EXPECT_EQ(*spec.ipFamilyPolicy, "SingleStack");
}

TEST(ServiceAllocatorTest, RefusesWhatIsTakenOrOutside) {
  ServiceAllocator a(options());
  auto first = service("ClusterIP", "10.96.0.10");
  ASSERT_TRUE(a.beginCreate(*first).ok());
  auto second = service("ClusterIP", "10.96.0.10");
  EXPECT_EQ(a.beginCreate(*second).status().message(),
            "Service \"s\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.10\"]: failed to allocate "
            "IP 10.96.0.10: provided IP is "
            "already allocated");
  auto outside = service("ClusterIP", "10.97.0.1");
  EXPECT_NE(a.beginCreate(*outside).status().message().find(
                "the provided network does not match the current range"),
            std::string::npos);
}

TEST(ServiceAllocatorTest, RevertGivesBackAllThatTheCreateTook) {
  ServiceAllocator a(options());
  auto s = service("NodePort", "10.96.0.11", 30100);
  auto change = a.beginCreate(*s);
  ASSERT_TRUE(change.ok());
  EXPECT_TRUE(a.isTaken(30100));
  a.revert(*change);
  EXPECT_FALSE(a.isTaken(30100));
  EXPECT_FALSE(a.isTaken(*Ip::parseSloppy("10.96.0.11")));
}

TEST(ServiceAllocatorTest, AFailedCreateTakesNothing) {
  ServiceAllocator a(options());
  auto s = service("NodePort", "10.96.0.12", 80);
  EXPECT_NE(a.beginCreate(*s).status().message().find("The range of valid ports is 30000-32767"),
            std::string::npos);
  EXPECT_FALSE(a.isTaken(*Ip::parseSloppy("10.96.0.12")));
}

TEST(ServiceAllocatorTest, TheTypeChangesAndPortsGoAfterTheCommit) {
  ServiceAllocator a(options());
  auto old = service("NodePort", "", 30200);
  a.commit(*a.beginCreate(*old));
  auto now = old->clone();
  now->as<Service>().spec.type = "ClusterIP";
  auto change = a.beginUpdate(*now, *old);
  ASSERT_TRUE(change.ok());
  EXPECT_TRUE(a.isTaken(30200));
  a.commit(*change);
  EXPECT_FALSE(a.isTaken(30200));
  EXPECT_EQ(now->as<Service>().spec.clusterIP, old->as<Service>().spec.clusterIP);
}

TEST(ServiceAllocatorTest, RebuildsFromWhatIsStored) {
  ServiceAllocator a(options());
  auto s = service("NodePort", "10.96.0.13", 30300);
  a.commit(*a.beginCreate(*s));
  ServiceAllocator b(options());
  std::vector<api::ObjectPtr> all = {s};
  b.reset(all);
  EXPECT_TRUE(b.isTaken(30300));
  EXPECT_TRUE(b.isTaken(*Ip::parseSloppy("10.96.0.13")));
  b.release(*s);
  EXPECT_FALSE(b.isTaken(30300));
}

TEST(ServiceAllocatorTest, HeadlessServicesHaveNoAddress) {
  ServiceAllocator a(options());
  auto s = service("ClusterIP", "None");
  ASSERT_TRUE(a.beginCreate(*s).ok());
  EXPECT_EQ(s->as<Service>().spec.clusterIPs[0], "None");
}

}  // namespace
}  // namespace km::registry
