// What follows from services in other objects: an IPAddress for each cluster IP, so that everybody sees what is taken, and no Endpoints
// left behind by a service that went.
//
// The allocator's memory decides who has an address; the objects follow it, in the order of the changes to each address. Any thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/operations.h"
#include "registry/ip.h"

namespace km::apiserver {

class ServiceAddresses {
 public:
  // Must outlive all writes to services.
  explicit ServiceAddresses(Operations& operations) : operations_(operations) {}

  // Makes the objects of services that were stored before, where they are missing.
  void repair();
  // The service is about to be stored: its addresses that `old` did not have get their objects.
  void writing(const api::Object& service, const api::Object* old);
  // The address is free again, or its service was not stored after all.
  void freed(const registry::Ip& ip);
  void deleted(const api::Object& service);
  // Calls `done` when all that was begun for the service is stored: at once, or on the store's thread.
  void settle(const api::Object& service, const api::Object* old, std::function<void()> done);
  // Whether somebody else keeps the address by an object of his own.
  bool isReserved(const registry::Ip& ip) const;

 private:
  struct Owner {
    std::string ns, name;
    bool operator==(const Owner&) const = default;
  };
  // Runs when the last that holds it lets go.
  struct Waiting {
    explicit Waiting(std::function<void()> d) : done(std::move(d)) {}
    Waiting(const Waiting&) = delete;
    ~Waiting() { done(); }
    std::function<void()> done;
  };
  struct Entry {
    std::optional<Owner> wanted, stored;
    bool busy = false;  // a write is under way
    std::vector<std::shared_ptr<Waiting>> waiting;
  };

  void want(const std::string& ip, std::optional<Owner> owner);
  void step(const std::string& ip);
  void finish(const std::string& ip, std::optional<Owner> stored, bool failed);
  CallPtr callFor(std::string_view group, std::string_view resource, std::string_view verb, std::string name) const;

  Operations& operations_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by address; Endpoints that are being deleted by "namespace/name"
};

}  // namespace km::apiserver
