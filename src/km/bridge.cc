#include "km/bridge.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace km {
namespace {

// One request to the kernel, answered by an acknowledgement.
class Request {
 public:
  Request(uint16_t type, uint16_t flags) {
    nlmsghdr h{};
    h.nlmsg_type = type;
    h.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
    put(&h, sizeof h);
  }
  template <typename T>
  void body(const T& v) {
    put(&v, sizeof v);
  }
  size_t begin(uint16_t type) {
    size_t at = bytes_.size();
    rtattr a{0, type};
    put(&a, sizeof a);
    return at;
  }
  void end(size_t at) {
    auto length = static_cast<uint16_t>(bytes_.size() - at);
    std::memcpy(bytes_.data() + at, &length, sizeof length);
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
  }
  void attribute(uint16_t type, const void* p, size_t n) {
    size_t at = begin(type);
    put(p, n);
    end(at);
  }

  // 0, or an errno.
  int run() {
    auto length = static_cast<uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &length, sizeof length);
    UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (fd.get() < 0) return errno;
    if (::send(fd.get(), bytes_.data(), bytes_.size(), 0) < 0) return errno;
    alignas(nlmsghdr) char answer[4096];
    ssize_t n = ::recv(fd.get(), answer, sizeof answer, 0);
    if (n < 0) return errno;
    auto* h = reinterpret_cast<nlmsghdr*>(answer);
    if (h->nlmsg_type != NLMSG_ERROR) return EPROTO;
    return -reinterpret_cast<nlmsgerr*>(NLMSG_DATA(h))->error;
  }

 private:
  void put(const void* p, size_t n) {
    const char* c = static_cast<const char*>(p);
    bytes_.insert(bytes_.end(), c, c + n);
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
  }
  std::vector<char> bytes_;
};

Status setUp(const std::string& name) {
  Request r(RTM_NEWLINK, 0);
  ifinfomsg i{};
  i.ifi_family = AF_UNSPEC;
  i.ifi_index = static_cast<int>(::if_nametoindex(name.c_str()));
  i.ifi_flags = IFF_UP;
  i.ifi_change = IFF_UP;
  r.body(i);
  if (int e = r.run(); e != 0) return errors::fromErrno(fmt::format("interface {} cannot be taken up", name), e);
  return {};
}

// What all requests about one IPv4 route have in common.
Status addRoute(Request& r, const std::string& range, unsigned char scope) {
  size_t slash = range.find('/');
  in_addr ip{};
  int bits = slash == std::string::npos ? 32 : std::atoi(range.c_str() + slash + 1);
  if (::inet_pton(AF_INET, range.substr(0, slash).c_str(), &ip) != 1 || bits < 0 || bits > 32) {
    return errors::badRequest(fmt::format("invalid CIDR address: {}", range));
  }
  rtmsg m{};
  m.rtm_family = AF_INET;
  m.rtm_dst_len = static_cast<uint8_t>(bits);
  m.rtm_table = RT_TABLE_MAIN;
  m.rtm_protocol = RTPROT_STATIC;
  m.rtm_scope = scope;
  m.rtm_type = RTN_UNICAST;
  r.body(m);
  r.attribute(RTA_DST, &ip, sizeof ip);
  return {};
}

}  // namespace

Status ensureBridge(const std::string& name, const std::string& address, int prefixLength) {
  if (::if_nametoindex(name.c_str()) == 0) {
    Request r(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    ifinfomsg i{};
    i.ifi_family = AF_UNSPEC;
    r.body(i);
    r.attribute(IFLA_IFNAME, name.c_str(), name.size() + 1);
    size_t info = r.begin(IFLA_LINKINFO);
    r.attribute(IFLA_INFO_KIND, "bridge", 7);
    r.end(info);
    if (int e = r.run(); e != 0 && e != EEXIST) return errors::fromErrno(fmt::format("bridge {} cannot be made", name), e);
  }
  Request r(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
  ifaddrmsg a{};
  a.ifa_family = AF_INET;
  a.ifa_prefixlen = static_cast<uint8_t>(prefixLength);
  a.ifa_index = ::if_nametoindex(name.c_str());
  r.body(a);
  in_addr ip{};
  if (::inet_pton(AF_INET, address.c_str(), &ip) != 1) return errors::failed(fmt::format("{} is no address", address));
  r.attribute(IFA_LOCAL, &ip, sizeof ip);
  r.attribute(IFA_ADDRESS, &ip, sizeof ip);
  if (int e = r.run(); e != 0 && e != EEXIST) return errors::fromErrno(fmt::format("bridge {} cannot have the address {}", name, address), e);
  KM_TRY(setUp("lo"));
  return setUp(name);
}

Status ensureRoute(const std::string& link, const std::string& range) {
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  KM_TRY(addRoute(r, range, RT_SCOPE_LINK));
  auto index = static_cast<uint32_t>(::if_nametoindex(link.c_str()));
  r.attribute(RTA_OIF, &index, sizeof index);
  if (int e = r.run(); e != 0) return errors::fromErrno(fmt::format("no route to {} by {}", range, link), e);
  return {};
}

Status ensureRouteVia(const std::string& range, const std::string& gateway) {
  Request r(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  KM_TRY(addRoute(r, range, RT_SCOPE_UNIVERSE));
  in_addr via{};
  if (::inet_pton(AF_INET, gateway.c_str(), &via) != 1) return errors::failed(fmt::format("{} is no address", gateway));
  r.attribute(RTA_GATEWAY, &via, sizeof via);
  if (int e = r.run(); e != 0) return errors::fromErrno(fmt::format("no route to {} by {}", range, gateway), e);
  return {};
}

Status removeRoute(const std::string& range) {
  Request r(RTM_DELROUTE, 0);
  KM_TRY(addRoute(r, range, RT_SCOPE_NOWHERE));
  if (int e = r.run(); e != 0 && e != ESRCH) return errors::fromErrno(fmt::format("the route to {} cannot be removed", range), e);
  return {};
}

Status removeLink(const std::string& name) {
  unsigned index = ::if_nametoindex(name.c_str());
  if (index == 0) return {};
  Request r(RTM_DELLINK, 0);
  ifinfomsg i{};
  i.ifi_family = AF_UNSPEC;
  i.ifi_index = static_cast<int>(index);
  r.body(i);
  if (int e = r.run(); e != 0 && e != ENODEV) return errors::fromErrno(fmt::format("interface {} cannot be removed", name), e);
  return {};
}

}  // namespace km
