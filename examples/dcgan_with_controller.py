"""A DCGAN (Radford et al. 2016, arXiv 1511.06434) in the form that most PyTorch tutorials give it.

It knows nothing of controllers. `dcgan_with_controller.py` is this file with a few lines added:
`diff examples/dcgan.py examples/dcgan_with_controller.py` shows them.

    python examples/dcgan.py                      # embedded synthetic tissue
    python examples/dcgan.py --dataroot PATCHES   # a folder of class folders of images
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset
from torchvision import datasets, transforms
from torchvision.utils import save_image

from agents import Controller

parser = argparse.ArgumentParser()
parser.add_argument("--dataroot", default=None, help="folder of class folders of images")
parser.add_argument("--out", type=Path, default=Path("dcgan"), help="folder for samples and the generator")
parser.add_argument("--image_size", type=int, default=32, help="pixels, a power of two >= 16")
parser.add_argument("--n_images", type=int, default=1024, help="images of embedded tissue")
parser.add_argument("--batch_size", type=int, default=32)
parser.add_argument("--num_epochs", type=int, default=60)
parser.add_argument("--nz", type=int, default=100, help="length of a latent vector")
parser.add_argument("--ngf", type=int, default=32, help="feature maps of the generator")
parser.add_argument("--ndf", type=int, default=32, help="feature maps of the discriminator")
parser.add_argument("--lr", type=float, default=2e-4)
parser.add_argument("--beta1", type=float, default=0.5)
parser.add_argument("--seed", type=int, default=0)
opt = parser.parse_args()

opt.out.mkdir(parents=True, exist_ok=True)
torch.manual_seed(opt.seed)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

if opt.dataroot is None:
    from gan_gym.data.tissue import tissue_patches

    images = tissue_patches(opt.n_images, opt.image_size, opt.seed).images.float() / 127.5 - 1
    dataset = TensorDataset(images, torch.zeros(len(images)))
else:
    dataset = datasets.ImageFolder(
        opt.dataroot,
        transforms.Compose(
            [
                transforms.Resize(opt.image_size),
                transforms.CenterCrop(opt.image_size),
                transforms.ToTensor(),
                transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
            ]
        ),
    )
dataloader = DataLoader(dataset, batch_size=opt.batch_size, shuffle=True, drop_last=True)


def weights_init(m):
    """Draw weights as the paper does."""
    if isinstance(m, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(m.weight, 0.0, 0.02)
    elif isinstance(m, nn.BatchNorm2d):
        nn.init.normal_(m.weight, 1.0, 0.02)
        nn.init.zeros_(m.bias)


def make_generator():
    """Double the sides from 4 x 4 up, and halve the feature maps."""
    n_maps = opt.ngf * opt.image_size // 8
    layers = [nn.ConvTranspose2d(opt.nz, n_maps, 4, 1, 0, bias=False), nn.BatchNorm2d(n_maps), nn.ReLU(True)]
    while n_maps > opt.ngf:
        layers += [
            nn.ConvTranspose2d(n_maps, n_maps // 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(n_maps // 2),
            nn.ReLU(True),
        ]
        n_maps //= 2
    return nn.Sequential(*layers, nn.ConvTranspose2d(n_maps, 3, 4, 2, 1, bias=False), nn.Tanh())


def make_discriminator():
    """Halve the sides down to 4 x 4, and double the feature maps."""
    n_maps, size = opt.ndf, opt.image_size // 2
    layers = [nn.Conv2d(3, n_maps, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    while size > 4:
        layers += [
            nn.Conv2d(n_maps, n_maps * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(n_maps * 2),
            nn.LeakyReLU(0.2, inplace=True),
        ]
        n_maps, size = n_maps * 2, size // 2
    return nn.Sequential(*layers, nn.Conv2d(n_maps, 1, 4, 1, 0, bias=False), nn.Sigmoid())


netG = make_generator().to(device).apply(weights_init)
netD = make_discriminator().to(device).apply(weights_init)

criterion = nn.BCELoss()
fixed_noise = torch.randn(64, opt.nz, 1, 1, device=device)
real_label, fake_label = 1.0, 0.0

optimizerD = optim.Adam(netD.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))
optimizerG = optim.Adam(netG.parameters(), lr=opt.lr, betas=(opt.beta1, 0.999))
total_steps = opt.num_epochs * len(dataloader)
controlled = Controller.load("pretrained").attach(
    optimizerG, optimizerD, total_steps=total_steps, discriminator=netD
)

for epoch in range(opt.num_epochs):
    for i, data in enumerate(dataloader):
        # (1) Update D: maximise log(D(x)) + log(1 - D(G(z)))
        netD.zero_grad()
        real = data[0].to(device)
        b_size = real.size(0)
        label = torch.full((b_size,), real_label, device=device)
        output = netD(real).view(-1)
        errD_real = criterion(output, label)
        errD_real.backward()
        D_x = output.mean().item()
        score_real = output.logit(eps=1e-6)

        noise = torch.randn(b_size, opt.nz, 1, 1, device=device)
        fake = netG(noise)
        label.fill_(fake_label)
        output = netD(fake.detach()).view(-1)
        errD_fake = criterion(output, label)
        errD_fake.backward()
        D_G_z1 = output.mean().item()
        score_fake = output.logit(eps=1e-6)
        errD = errD_real + errD_fake
        optimizerD.step()

        # (2) Update G: maximise log(D(G(z)))
        netG.zero_grad()
        label.fill_(real_label)
        output = netD(fake).view(-1)
        errG = criterion(output, label)
        errG.backward()
        D_G_z2 = output.mean().item()
        optimizerG.step()
        scores = {"score_real": score_real, "score_fake": score_fake}
        controlled.step(g_loss=errG, d_loss=errD, real=real, fake=fake, **scores)

        if i % 50 == 0:
            print(
                f"[{epoch}/{opt.num_epochs}][{i}/{len(dataloader)}] Loss_D: {errD.item():.4f} "
                f"Loss_G: {errG.item():.4f} D(x): {D_x:.4f} D(G(z)): {D_G_z1:.4f} / {D_G_z2:.4f}"
            )

    with torch.no_grad():
        save_image(netG(fixed_noise), opt.out / f"epoch-{epoch:03d}.png", normalize=True)

torch.save(netG.state_dict(), opt.out / "netG.pt")
